#include "host/checkpoint/config.h"

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/base/rng.h"
#include "tests/support/expect_error.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

using nlohmann::json;

const std::string kModels = NIBBLE_SOURCE_DIR "/tests/golden/models/";

ModelConfig parse(const json& config) { return ModelConfig::parse(config.dump(), "config.json"); }

TEST(Config, TextsEndWithAnyOfSeveralTokens) {
  json config = synthetic_config();
  config["eos_token_id"] = {7, 1, 7};
  config["bos_token_id"] = {3};
  EXPECT_EQ(parse(config).eos_token_ids, (std::vector<uint32_t>{7, 1}));
  EXPECT_EQ(parse(config).bos_token_id, 3u);
  for (const char* field : {"eos_token_id", "bos_token_id"}) config[field] = nullptr;
  EXPECT_TRUE(parse(config).eos_token_ids.empty());
  EXPECT_FALSE(parse(config).bos_token_id.has_value());
  config.erase("eos_token_id");
  config.erase("bos_token_id");
  EXPECT_TRUE(parse(config).eos_token_ids.empty());
  EXPECT_FALSE(parse(config).bos_token_id.has_value());
}

TEST(Config, TheGenerationConfigAddsEnds) {
  const TempDirectory directory;
  json config = synthetic_config();
  config["bos_token_id"] = nullptr;
  const std::string path = directory.write("config.json", config.dump());
  directory.write("generation_config.json", R"({"bos_token_id": 4, "eos_token_id": [9, 1]})");
  EXPECT_EQ(ModelConfig::load(path).eos_token_ids, (std::vector<uint32_t>{1, 9}));
  EXPECT_EQ(ModelConfig::load(path).bos_token_id, 4u);
  directory.write("generation_config.json", R"({"eos_token_id": 61})");
  expect_error([&] { ModelConfig::load(path); }, "generation_config.json", "'eos_token_id'", "found 61");
  directory.write("generation_config.json", "[]");
  expect_error([&] { ModelConfig::load(path); }, "generation_config.json", "expected a JSON object");
}

TEST(Config, ReadsTheGoldenOnes) {
  const ModelConfig config = ModelConfig::load(kModels + "tiny-4-mtp/config.json");
  EXPECT_EQ(config.vocab_size, 256u);
  EXPECT_EQ(config.hidden_size, 256u);
  EXPECT_EQ(config.num_hidden_layers, 2u);
  EXPECT_EQ(config.max_position_embeddings, 4096u);
  EXPECT_EQ(config.num_attention_heads, 4u);
  EXPECT_EQ(config.head_dim, 128u);
  EXPECT_EQ(config.qk_rope_head_dim, 64u);
  EXPECT_EQ(config.q_lora_rank, 128u);
  EXPECT_EQ(config.o_groups, 4u);
  EXPECT_EQ(config.o_lora_rank, 64u);
  EXPECT_EQ(config.sliding_window, 128u);
  EXPECT_EQ(config.index_n_heads, 8u);
  EXPECT_EQ(config.index_head_dim, 128u);
  EXPECT_EQ(config.index_topk, 16u);
  EXPECT_EQ(config.n_routed_experts, 8u);
  EXPECT_EQ(config.num_experts_per_tok, 2u);
  EXPECT_EQ(config.moe_intermediate_size, 128u);
  EXPECT_EQ(config.num_hash_layers, 1u);
  EXPECT_EQ(config.routed_scaling_factor, 2.0f);
  EXPECT_EQ(config.swiglu_limit, 10.0f);
  EXPECT_EQ(config.expert_dtype, "");
  EXPECT_EQ(config.hc_mult, 4u);
  EXPECT_EQ(config.hc_sinkhorn_iters, 20u);
  EXPECT_EQ(config.hc_eps, 1e-6f);
  EXPECT_EQ(config.rms_norm_eps, 1e-6f);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.compress_rope_theta, 160000.0);
  EXPECT_EQ(config.yarn.factor, 16.0);
  EXPECT_EQ(config.yarn.original_max_position_embeddings, 64u);
  EXPECT_EQ(config.yarn.beta_fast, 8.0);
  EXPECT_EQ(config.yarn.beta_slow, 1.0);
  EXPECT_EQ(config.num_nextn_predict_layers, 1u);
  EXPECT_EQ(config.bos_token_id, 0u);
  EXPECT_EQ(config.eos_token_ids, std::vector<uint32_t>{1});
  EXPECT_EQ(config.layer_plan(0).ratio, 128u);
  EXPECT_EQ(config.layer_plan(1).ratio, 4u);
  EXPECT_EQ(config.mtp_plan().ratio, 0u);
  EXPECT_TRUE(config.layer_plan(0).hash_routed);
  EXPECT_FALSE(config.layer_plan(1).hash_routed);
  EXPECT_EQ(ModelConfig::load(kModels + "tiny-5-many-experts/config.json").expert_dtype, "fp4");
}

TEST(Config, AcceptsWhatIsLegalButUnusual) {
  json config = synthetic_config();
  config["hc_mult"] = 2;
  config["sliding_window"] = 20;
  config["compress_ratios"] = {24, 4, 1};
  config["hidden_size"] = 160;
  config["q_lora_rank"] = 48;
  config["swiglu_limit"] = 0;
  config["rope_theta"] = 10000.5;
  config["expert_dtype"] = "fp8";
  config["torch_dtype"] = "bfloat16";
  config["an unknown field"] = {{"is", "ignored"}};
  const ModelConfig parsed = parse(config);
  EXPECT_EQ(parsed.hc_mult, 2u);
  EXPECT_EQ(parsed.sliding_window, 20u);
  EXPECT_EQ(parsed.layer_plan(0).ratio, 24u);
  EXPECT_EQ(parsed.mtp_plan().ratio, 0u) << "the file omits the entry";
  EXPECT_EQ(parsed.swiglu_limit, std::numeric_limits<float>::max()) << "0 means no clamp";
  EXPECT_EQ(parsed.expert_dtype, "fp8");
  EXPECT_EQ(parsed.rope_theta, 10000.5);
}

// One ratio for each layer; what more there is belongs to parts beside the trunk, whose number has other meanings.
TEST(Config, AcceptsMoreRatiosThanLayers) {
  json config = synthetic_config();
  config["compress_ratios"] = {0, 4, 128, 0, 0, 0};
  config["dspark_block_size"] = 5;
  config["num_nextn_predict_layers"] = 3;
  config["rms_norm_eps"] = 1e-20;
  const ModelConfig parsed = parse(config);
  EXPECT_EQ(parsed.extra_ratios(), 3u);
  EXPECT_TRUE(parsed.has_dspark_keys);
  EXPECT_FALSE(parsed.announces_mtp());
  EXPECT_EQ(parsed.rms_norm_eps, 1e-20f);
  config.erase("dspark_block_size");
  config.erase("num_nextn_predict_layers");
  config["compress_ratios"] = {0, 4, 128};
  EXPECT_EQ(parse(config).extra_ratios(), 0u);
  EXPECT_FALSE(parse(config).announces_mtp());
}

// Keys that change what is computed, with values that nibble does not compute; null is as good as absent.
TEST(Config, RefusesWhatItWouldComputeOtherwise) {
  const std::pair<const char*, json> cases[] = {
      {"n_group", 8},           {"first_k_dense_replace", 3}, {"moe_layer_freq", 2}, {"attention_bias", true},
      {"mlp_bias", true},       {"rope_interleave", false},   {"kv_lora_rank", 512}, {"v_head_dim", 64},
      {"logit_softcapping", 5}, {"qk_nope_head_dim", 128}};
  for (const auto& [field, value] : cases) {
    SCOPED_TRACE(field);
    json config = synthetic_config();
    config[field] = nullptr;
    parse(config);
    config[field] = value;
    expect_error([&] { parse(config); }, "config.json", fmt::format("'{}'", field), "found " + value.dump(),
                 "supported");
  }
  for (const auto& [field, value] : {std::pair<const char*, json>{"mscale", 0.7}, {"attention_factor", 1.2}}) {
    json config = synthetic_config();
    config["rope_scaling"][field] = value;
    expect_error([&] { parse(config); }, fmt::format("'rope_scaling.{}'", field), "found " + value.dump(), "supported");
  }
  json config = synthetic_config();
  config["quantization_config"] = {{"activation_scheme", "static"}};
  expect_error([&] { parse(config); }, "'quantization_config.activation_scheme'", "supported \"dynamic\"");
}

// What other tools write instead of DeepSeek's own layout is named as what it is.
TEST(Config, NamesOtherLayouts) {
  json config = synthetic_config();
  config["layer_types"] = {"sliding_attention"};
  config.erase("compress_ratios");
  expect_error([&] { parse(config); }, "config.json", "'layer_types'", "transformers library");
  for (const auto& [method, what] : {std::pair{"awq", "AWQ"},
                                     {"gptq", "GPTQ"},
                                     {"compressed-tensors", "compressed-tensors"},
                                     {"modelopt", "NVFP4"}}) {
    config = synthetic_config();
    config["quantization_config"] = {{"quant_method", method}};
    expect_error([&] { parse(config); }, "'quantization_config.quant_method'", method, what, "DeepSeek's own");
  }
}

TEST(Config, NeedsNoYarnWithoutCompressors) {
  json config = synthetic_config();
  config["compress_ratios"] = {0, 0, 0};
  config["rope_scaling"] = nullptr;
  EXPECT_EQ(parse(config).yarn.factor, 1.0);
  config["compress_ratios"] = {0, 0, 128};
  expect_error([&] { parse(config); }, "config.json", "'rope_scaling'", "found null", "yarn");
}

// These may be missing, null or lists.
bool is_text_end(const std::string& name) { return name == "bos_token_id" || name == "eos_token_id"; }

TEST(Config, ReportsEveryMissingField) {
  const json good = synthetic_config();
  for (const auto& [name, value] : good.items()) {
    if (name == "num_nextn_predict_layers") continue;  // the tensors say what there is
    SCOPED_TRACE(name);
    if (is_text_end(name)) continue;
    json config = good;
    config.erase(name);
    expect_error([&] { parse(config); }, "config.json", fmt::format("'{}'", name));
  }
  for (const auto& [name, value] : good["rope_scaling"].items()) {
    SCOPED_TRACE(name);
    json config = good;
    config["rope_scaling"].erase(name);
    expect_error([&] { parse(config); }, "config.json", fmt::format("'rope_scaling.{}'", name), "missing");
  }
}

// Every numeric field with every value that no numeric field may have.
TEST(Config, ReportsEveryImpossibleValue) {
  const json good = synthetic_config();
  const json values[] = {-1,
                         -0.5,
                         1e300,
                         1000000000000,
                         std::numeric_limits<uint64_t>::max(),
                         std::numeric_limits<int64_t>::min(),
                         "4",
                         true,
                         nullptr,
                         json::array({1}),
                         json::object()};
  for (const auto& [name, value] : good.items()) {
    if (!value.is_number()) continue;
    for (const json& bad : values) {
      if (is_text_end(name) && (bad.is_null() || bad.is_array())) continue;
      // A theta of 10^12 is odd, but a number one can compute with.
      if (name.find("theta") != std::string::npos && bad == 1000000000000) continue;
      if (name == "num_nextn_predict_layers" && bad.is_null()) continue;
      SCOPED_TRACE(name + " = " + bad.dump());
      json config = good;
      config[name] = bad;
      expect_error([&] { parse(config); }, "config.json", fmt::format("'{}'", name), "found", "allowed");
    }
  }
}

TEST(Config, ReportsContradictions) {
  struct Case {
    const char* field;
    json value;
    const char* expected;
  };
  const json deep = json::array({1, json::array({2})});
  const Case cases[] = {
      {"num_attention_heads", 0, "allowed an integer from 1"},
      {"o_groups", 3, "divisor of num_attention_heads 4"},
      {"o_groups", 8, "from 1 to 4"},
      {"o_lora_rank", 7, "multiple of 16"},
      {"qk_rope_head_dim", 96, "from 2 to 80"},
      {"qk_rope_head_dim", 33, "multiple of 2"},
      {"qk_rope_head_dim", 30, "multiple of 16"},
      {"head_dim", 100, "multiple of 16"},
      {"q_lora_rank", 50, "multiple of 16"},
      {"hidden_size", 144, "multiple of 32"},
      {"hidden_size", 4000000000u, "from 32 to 65536"},
      {"moe_intermediate_size", 48, "multiple of 32"},
      {"index_head_dim", 48, "power of two"},
      {"n_routed_experts", 0, "from 1"},
      {"num_experts_per_tok", 6, "from 1 to 5"},
      {"num_experts_per_tok", 0, "from 1 to 5"},
      {"n_shared_experts", 2, "from 1 to 1"},
      {"num_hash_layers", 4, "from 0 to 3"},
      {"hc_mult", 0, "from 1"},
      {"sliding_window", 0, "from 1"},
      {"compress_ratios", {0, 4}, "at least one for each of num_hidden_layers 3"},
      {"compress_ratios", {0, -4, 128}, "found -4"},
      {"compress_ratios", {0, 4.5, 128}, "found 4.5"},
      {"compress_ratios", {0, "4", 128}, "'compress_ratios[1]'"},
      {"compress_ratios", deep, "a list of integers"},
      {"compress_ratios", 4, "a list of integers"},
      {"compress_ratios", {0, 4, 5000000000}, "found 5000000000"},
      {"model_type", "llama", "supported \"deepseek_v4\""},
      {"scoring_func", "softmax", "supported \"sqrtsoftplus\""},
      {"hidden_act", "gelu", "supported \"silu\""},
      {"num_key_value_heads", 8, "supported 1"},
      {"attention_bias", true, "supported false"},
      {"tie_word_embeddings", true, "supported false"},
      {"norm_topk_prob", false, "supported true"},
      {"topk_method", "greedy", "supported \"noaux_tc\""},
      {"expert_dtype", "int3", "\"fp4\" or \"fp8\""},
      {"quantization_config", {{"weight_block_size", {64, 64}}}, "'quantization_config.weight_block_size'"},
      {"quantization_config", {{"quant_method", "awq"}}, "'quantization_config.quant_method'"},
      {"quantization_config", "fp8", "an object"},
      {"rope_scaling", {{"type", "linear"}}, "'rope_scaling.type'"},
      {"rope_scaling", "yarn", "an object"},
      {"bos_token_id", 61, "from 0 to 60"},
      {"bos_token_id", -1, "found -1"},
      {"bos_token_id", {1, 2}, "one token"},
      {"eos_token_id", 61, "from 0 to 60"},
      {"eos_token_id", 1.5, "found 1.5"},
      {"eos_token_id", {1, 61}, "'eos_token_id[1]'"},
      {"eos_token_id", {1, nullptr}, "found null"},
      {"eos_token_id", "1", "an integer"},
      {"rope_theta", 1, "a number from 1.001"},
      {"rms_norm_eps", 0, "a number from 1.17549e-38"},
      {"num_nextn_predict_layers", -1, "from 0 to 1024"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(fmt::format("{} = {}", test.field, test.value.dump()));
    json config = synthetic_config();
    config[test.field] = test.value;
    expect_error([&] { parse(config); }, "config.json", test.field, test.expected);
  }
}

TEST(Config, ReportsYarnContradictions) {
  for (const auto& [field, value] :
       std::vector<std::pair<std::string, json>>{{"factor", 0.5},
                                                 {"factor", "16"},
                                                 {"beta_fast", 0.5},
                                                 {"beta_slow", 0},
                                                 {"original_max_position_embeddings", 0},
                                                 {"original_max_position_embeddings", 64.5}}) {
    SCOPED_TRACE(field + " = " + value.dump());
    json config = synthetic_config();
    config["rope_scaling"][field] = value;
    expect_error([&] { parse(config); }, "'rope_scaling." + field + "'", "found " + value.dump());
  }
}

TEST(Config, RefusesHostileText) {
  const std::string deep = std::string(100000, '[');
  const std::string deep_objects = [] {
    std::string text;
    for (int i = 0; i < 10000; ++i) text += "{\"a\":";
    return text;
  }();
  const std::pair<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"{", "not valid JSON at byte"},
      {"[]", "expected a JSON object"},
      {"3", "expected a JSON object"},
      {"null", "expected a JSON object"},
      {deep, "nested deeper than 64"},
      {deep_objects, "nested deeper than 64"},
      {"{\"a\": " + deep + "}", "nested deeper than 64"},
      {std::string((1 << 20) + 1, ' '), "1048577 bytes of JSON, allowed 1048576"},
      {"{\"hidden_size\": 1, \"hidden_size\": 2}", "'hidden_size' appears twice"},
      {"{\"a\nb\xff\": 1}", "not valid JSON"},
      {"{\"x\": \"\xc3\x28\"}", "not valid JSON"},
      {"{\"x\": 1e999}", "a number is out of range"},
      {"{\"x\": NaN}", "not valid JSON"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text.substr(0, 40));
    expect_error([&, text = text] { ModelConfig::parse(text, "x/config.json"); }, "x/config.json", expected);
  }
}

TEST(Config, ReportsUnreadableFiles) {
  const TempDirectory directory;
  expect_error([&] { ModelConfig::load(directory.file("config.json")); }, "config.json", "no such file");
  expect_error([&] { ModelConfig::load(directory.path()); }, directory.path(), "not a regular file");
  const std::string large = directory.write("large.json", std::string(2 << 20, ' '));
  expect_error([&] { ModelConfig::load(large); }, large, "2097152 bytes, allowed 1048576");
}

// Damaged text is either read as some legal config or reported in one line; nothing else may happen.
TEST(Config, SurvivesRandomDamage) {
  Rng rng(20240607);
  const std::string good = synthetic_config().dump();
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = good;
    for (uint32_t edits = 1 + rng.below(2); edits > 0; --edits) {
      const size_t at = rng.below(static_cast<uint32_t>(text.size()));
      switch (rng.below(4)) {
        case 0:
          text[at] = static_cast<char>(rng.below(256));
          break;
        case 1:
          text.erase(at, 1 + rng.below(20));
          break;
        case 2:
          text.insert(at, text.substr(rng.below(static_cast<uint32_t>(text.size())), rng.below(30)));
          break;
        default:
          text[at] = "0123456789-.e\"[]{},:"[rng.below(20)];
      }
      if (text.empty()) text = "x";
    }
    try {
      const ModelConfig config = ModelConfig::parse(text, "config.json");
      EXPECT_EQ(config.hidden_size % 32, 0u);
      EXPECT_GE(config.compress_ratios.size(), config.num_hidden_layers);
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      ++refused;
    }
  }
  // Both happen often, or the damage is of no use.
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace nibble
