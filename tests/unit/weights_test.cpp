#include "host/checkpoint/weights.h"

#include <cmath>
#include <functional>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/base/format.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

const char* const kGoldenModels[] = {"tiny-1-swa-csa", "tiny-2-flash-like", "tiny-3-hca32-rope32", "tiny-4-mtp",
                                     "tiny-5-many-experts"};

std::string golden(const std::string& model) { return std::string(NIBBLE_SOURCE_DIR "/tests/golden/models/") + model; }

void expect_matrix(const WeightMatrix& matrix, WeightFormat format, uint64_t rows, uint64_t cols) {
  EXPECT_EQ(matrix.format, format);
  EXPECT_EQ(matrix.rows, rows);
  EXPECT_EQ(matrix.cols, cols);
  ASSERT_NE(matrix.weight, nullptr);
  EXPECT_EQ(matrix.scale != nullptr, has_scales(format));
}

TEST(Weights, LoadsEveryGoldenModel) {
  for (const char* model : kGoldenModels) {
    SCOPED_TRACE(model);
    const Checkpoint checkpoint = Checkpoint::open(golden(model));
    const ModelConfig& config = checkpoint.config();
    const ModelWeights weights = load_weights(checkpoint, config);
    EXPECT_EQ(weights.layers.size(), config.num_hidden_layers);
    EXPECT_EQ(weights.mtp.has_value(), config.announces_mtp());
    const WeightSurvey survey = survey_weights(checkpoint, config, 10);
    EXPECT_EQ(survey.problem_count, 0u);
    EXPECT_TRUE(survey.unused.empty());
    for (uint32_t i = 0; i < config.num_hidden_layers; ++i) {
      const LayerWeights& layer = weights.layers[i];
      EXPECT_EQ(layer.plan.ratio, config.layer_plan(i).ratio);
      EXPECT_EQ(layer.attn.compressor.has_value(), config.compress_ratios[i] != 0);
      EXPECT_EQ(layer.attn.indexer.has_value(), config.compress_ratios[i] == 4);
      EXPECT_EQ(layer.ffn.tid2eid != nullptr, (i < config.num_hash_layers));
      EXPECT_EQ(layer.ffn.bias.has_value(), !(i < config.num_hash_layers));
      EXPECT_EQ(layer.ffn.experts.size(), config.n_routed_experts);
    }
  }
}

TEST(Weights, FindsTheRightTensors) {
  const Checkpoint checkpoint = Checkpoint::open(golden("tiny-2-flash-like"));
  const ModelWeights weights = load_weights(checkpoint, checkpoint.config());
  expect_matrix(weights.embed, WeightFormat::kBf16, 256, 256);
  const LayerWeights& layer = weights.layers[1];
  expect_matrix(layer.attn.wo_a, WeightFormat::kFp8, 128, 256);
  EXPECT_EQ(layer.attn.wo_a.scale->shape, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(layer.attn.wo_a.bytes(), 128u * 256 + 2);
  expect_matrix(layer.attn.compressor->wkv, WeightFormat::kBf16, 256, 256);
  EXPECT_TRUE(layer.attn.compressor->overlap);
  EXPECT_EQ(layer.attn.compressor->width, 128u);
  expect_matrix(layer.attn.indexer->compressor.wgate, WeightFormat::kBf16, 128, 256);
  expect_matrix(layer.attn.indexer->compressor.ape, WeightFormat::kF32, 4, 128);
  expect_matrix(layer.ffn.experts[7].w2, WeightFormat::kFp4, 256, 128);
  EXPECT_EQ(layer.ffn.experts[7].w2.weight->name, "layers.1.ffn.experts.7.w2.weight");
  EXPECT_EQ(layer.ffn.experts[7].w2.scale->name, "layers.1.ffn.experts.7.w2.scale");
  expect_matrix(layer.ffn.shared.w3, WeightFormat::kFp8, 128, 256);
  expect_matrix(layer.hc_ffn.fn, WeightFormat::kF32, 24, 1024);
  EXPECT_EQ(layer.hc_ffn.scale.values->name, "layers.1.hc_ffn_scale");
  EXPECT_FALSE(weights.layers[2].attn.compressor->overlap);
  EXPECT_EQ(weights.layers[2].attn.compressor->ratio, 128u);
  const Checkpoint with_mtp = Checkpoint::open(golden("tiny-4-mtp"));
  const ModelWeights mtp_weights = load_weights(with_mtp, with_mtp.config());
  EXPECT_EQ(mtp_weights.mtp->h_proj.weight->name, "mtp.0.h_proj.weight");
  EXPECT_EQ(mtp_weights.mtp->layer.attn.wq_a.weight->name, "mtp.0.attn.wq_a.weight");
  EXPECT_EQ(mtp_weights.mtp->hc_head.base.values->name, "mtp.0.hc_head_base");
  EXPECT_TRUE(mtp_weights.mtp->layer.ffn.bias.has_value());
}

ModelWeights load_tensors_of(const nlohmann::json& config, const std::vector<StoredTensor>& tensors) {
  const TempDirectory directory;
  write_checkpoint(directory.path(), config.dump(), tensors, 3);
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  return load_weights(checkpoint, checkpoint.config());
}

// Loads a synthetic model of this config; `change` may damage its tensors first.
ModelWeights load(const nlohmann::json& config, const SyntheticOptions& options = {},
                  const std::function<void(std::vector<StoredTensor>&)>& change = {}) {
  std::vector<StoredTensor> tensors =
      stored_synthetic_tensors(ModelConfig::parse(config.dump(), "config.json"), options);
  if (change) change(tensors);
  return load_tensors_of(config, tensors);
}

StoredTensor& tensor_named(std::vector<StoredTensor>& tensors, const std::string& name) {
  for (StoredTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  fail(ErrorCode::kInternal, "the synthetic model has no '{}'", name);
}

// As small as a model with all kinds of layers gets: the tests below write it some hundred times.
nlohmann::json smallest_config() {
  nlohmann::json config = synthetic_config();
  config.update({{"vocab_size", 3},
                 {"hidden_size", 32},
                 {"num_attention_heads", 1},
                 {"head_dim", 32},
                 {"qk_rope_head_dim", 16},
                 {"q_lora_rank", 16},
                 {"o_groups", 1},
                 {"o_lora_rank", 16},
                 {"index_n_heads", 1},
                 {"n_routed_experts", 2},
                 {"moe_intermediate_size", 32},
                 {"hc_mult", 1},
                 {"compress_ratios", {4, 3, 0}},
                 {"num_hash_layers", 1}});
  return config;
}

// The shapes that no golden model has. Only kinds and extents are looked at: the views are gone with the directory.
TEST(Weights, LoadsUnusualShapes) {
  nlohmann::json config = synthetic_config();
  config["hc_mult"] = 2;
  config["sliding_window"] = 20;
  config["compress_ratios"] = {24, 4, 0};
  config["hidden_size"] = 160;
  config["q_lora_rank"] = 48;
  config["moe_intermediate_size"] = 160;
  const ModelWeights weights = load(config, {.fp8_experts = true, .f32_floats = true, .i32_expert_ids = true});
  EXPECT_EQ(weights.layers[0].hc_attn.fn.rows, 8u);
  EXPECT_EQ(weights.layers[0].attn.compressor->ape.rows, 24u);
  EXPECT_EQ(weights.layers[0].attn.wq_a.cols, 160u);
  EXPECT_EQ(weights.layers[0].ffn.experts[0].w2.format, WeightFormat::kFp8);
  EXPECT_EQ(weights.embed.format, WeightFormat::kF32);
  EXPECT_EQ(weights.norm.format, WeightFormat::kF32);
  EXPECT_TRUE(weights.mtp.has_value());
  EXPECT_EQ(weights.mtp->layer.plan.ratio, 0u);
  config["num_nextn_predict_layers"] = 0;
  EXPECT_FALSE(load(config).mtp.has_value());
}

TEST(Weights, ToleratesAnAnnouncedButAbsentMtpBlock) {
  const auto drop_mtp = [](std::vector<StoredTensor>& tensors) {
    std::erase_if(tensors, [](const StoredTensor& tensor) { return tensor.name.starts_with("mtp."); });
  };
  EXPECT_FALSE(load(synthetic_config(), {}, drop_mtp).mtp.has_value());
}

TEST(Weights, AcceptsOtherSpellingsOfNames) {
  const auto rename = [](std::vector<StoredTensor>& tensors) {
    for (StoredTensor& tensor : tensors) {
      tensor.name = "model." + tensor.name;
      if (tensor.name.ends_with(".scale")) tensor.name.replace(tensor.name.size() - 6, 6, ".weight_scale_inv");
    }
  };
  EXPECT_EQ(load(synthetic_config(), {}, rename).layers.size(), 3u);
}

TEST(Weights, ReportsEveryMissingTensor) {
  const nlohmann::json config = smallest_config();
  const std::vector<StoredTensor> good = stored_synthetic_tensors(ModelConfig::parse(config.dump(), "config.json"));
  EXPECT_GT(good.size(), 150u);
  for (size_t i = 0; i < good.size(); ++i) {
    SCOPED_TRACE(good[i].name);
    std::vector<StoredTensor> tensors = good;
    tensors.erase(tensors.begin() + static_cast<ptrdiff_t>(i));
    expect_error([&] { load_tensors_of(config, tensors); }, fmt::format("tensor '{}' is missing", good[i].name));
  }
}

// Every tensor in turn with one more row, then with a dtype that no tensor may have.
TEST(Weights, ReportsEveryWrongShapeAndDtype) {
  const nlohmann::json config = smallest_config();
  const std::vector<StoredTensor> good = stored_synthetic_tensors(ModelConfig::parse(config.dump(), "config.json"));
  for (size_t i = 0; i < good.size(); ++i) {
    SCOPED_TRACE(good[i].name);
    const std::string name = fmt::format("tensor '{}' in ", good[i].name);
    std::vector<StoredTensor> tensors = good;
    tensors[i].bytes.append(tensors[i].bytes.size() / tensors[i].shape[0], '\0');
    tensors[i].shape[0] += 1;
    expect_error([&] { load_tensors_of(config, tensors); }, name, "-of-00003.safetensors: shape [", ", expected [",
                 "] from ");
    tensors[i] = good[i];
    tensors[i].shape = {tensors[i].bytes.size()};
    tensors[i].dtype = Dtype::kBool;
    expect_error([&] { load_tensors_of(config, tensors); }, name, ": dtype BOOL, expected ");
  }
}

TEST(Weights, SaysWhereAnExpectedShapeComesFrom) {
  const auto reshape = [](std::vector<StoredTensor>& tensors) {
    StoredTensor& scale = tensor_named(tensors, "layers.1.ffn.experts.3.w1.scale");
    scale.shape = {64, 2};
    scale.bytes.resize(128);
  };
  expect_error([&] { load(synthetic_config(), {}, reshape); }, "tensor 'layers.1.ffn.experts.3.w1.scale' in ",
               "shape [64, 2], expected [64, 4] from moe_intermediate_size 64, hidden_size 128");
  nlohmann::json config = synthetic_config();
  const auto transpose = [](std::vector<StoredTensor>& tensors) {
    StoredTensor& weight = tensor_named(tensors, "layers.0.attn.wq_b.weight");
    std::swap(weight.shape[0], weight.shape[1]);
  };
  expect_error([&] { load(config, {}, transpose); },
               "shape [64, 384], expected [384, 64] from num_attention_heads * head_dim = 384, q_lora_rank 64");
}

TEST(Weights, ReportsExpertIdsOutOfRange) {
  for (const int64_t bad : {int64_t{5}, int64_t{-1}, int64_t{1} << 40}) {
    const auto change = [&](std::vector<StoredTensor>& tensors) {
      StoredTensor& table = tensor_named(tensors, "layers.0.ffn.gate.tid2eid");
      table.bytes.replace(8 * (2 * 17 + 1), 8, reinterpret_cast<const char*>(&bad), 8);
    };
    expect_error([&] { load(synthetic_config(), {}, change); }, "layers.0.ffn.gate.tid2eid",
                 fmt::format("expert id {} of token 17, allowed 0 to 4", bad));
  }
}

TEST(Weights, ReportsExpertsOfDifferentKinds) {
  const auto change = [](std::vector<StoredTensor>& tensors) {
    StoredTensor& weight = tensor_named(tensors, "layers.2.ffn.experts.4.w3.weight");
    weight = {.name = weight.name, .dtype = Dtype::kF8E4M3, .shape = {64, 128}, .bytes = std::string(64 * 128, '\1')};
    StoredTensor& scale = tensor_named(tensors, "layers.2.ffn.experts.4.w3.scale");
    scale = {.name = scale.name, .dtype = Dtype::kF8E8M0, .shape = {1, 1}, .bytes = "x"};
  };
  expect_error([&] { load(synthetic_config(), {}, change); }, "layers.2.ffn.experts.4.w3.weight",
               "dtype F8_E4M3, expected I8 as in 'layers.2.ffn.experts.0.w1.weight'");
}

TEST(Weights, SurveysWhatIsMissingAndWhatIsUnused) {
  const TempDirectory directory;
  const ModelConfig config = ModelConfig::parse(synthetic_config().dump(), "config.json");
  std::vector<StoredTensor> tensors = stored_synthetic_tensors(config);
  tensor_named(tensors, "norm.weight").name = "unknown.1";
  tensor_named(tensors, "layers.1.attn.kv_norm.weight").name = "unknown.2";
  tensor_named(tensors, "layers.2.ffn.experts.0.w1.weight").name = "unknown.3";
  tensor_named(tensors, "layers.0.ffn.gate.tid2eid").name = "unknown.4";
  write_checkpoint(directory.path(), synthetic_config().dump(), tensors, 1);
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  const WeightSurvey survey = survey_weights(checkpoint, config, 2);
  EXPECT_EQ(survey.problem_count, 4u);
  ASSERT_EQ(survey.problems.size(), 2u);
  EXPECT_NE(survey.problems[0].find("'norm.weight' is missing"), std::string::npos) << survey.problems[0];
  EXPECT_EQ(std::set<std::string>(survey.unused.begin(), survey.unused.end()),
            (std::set<std::string>{"unknown.1", "unknown.2", "unknown.3", "unknown.4"}));
}

// The deviation of a matrix's dequantised values, from codes and scales alone.
double deviation(const WeightMatrix& matrix) {
  double sum = 0.0;
  for (uint64_t row = 0; row < matrix.rows; ++row) {
    for (uint64_t col = 0; col < matrix.cols; ++col) {
      const bool fp4 = matrix.format == WeightFormat::kFp4;
      const uint64_t at = fp4 ? row * (matrix.cols / 2) + col / 2 : row * matrix.cols + col;
      const uint64_t scale_at =
          fp4 ? row * (matrix.cols / 32) + col / 32 : row / 128 * ((matrix.cols + 127) / 128) + col / 128;
      const auto code = std::to_integer<uint8_t>(matrix.weight->data[at]);
      const float value =
          fp4 ? e2m1_to_f32(static_cast<uint8_t>(col % 2 == 0 ? code & 15 : code >> 4)) : e4m3_to_f32(code);
      const double scaled = value * e8m0_to_f32(std::to_integer<uint8_t>(matrix.scale->data[scale_at]));
      sum += scaled * scaled;
    }
  }
  return std::sqrt(sum / static_cast<double>(matrix.rows * matrix.cols));
}

TEST(SyntheticModel, KeepsActivationsNearOne) {
  const TempDirectory directory;
  write_synthetic_model(directory.path(), synthetic_config().dump());
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  const ModelWeights weights = load_weights(checkpoint, checkpoint.config());
  for (const LayerWeights& layer : weights.layers) {
    for (const WeightMatrix* matrix :
         {&layer.attn.wq_a, &layer.attn.wq_b, &layer.attn.wkv, &layer.attn.wo_a, &layer.attn.wo_b,
          &layer.ffn.experts[0].w1, &layer.ffn.experts[4].w2, &layer.ffn.shared.w2}) {
      // Block scales are up to a factor of two away, and small matrices have one FP8 block.
      const double gain = deviation(*matrix) * std::sqrt(static_cast<double>(matrix->cols));
      EXPECT_TRUE(gain > 0.3 && gain < 3.0) << matrix->weight->name << ": gain " << gain;
    }
  }
}

TEST(SyntheticModel, DependsOnItsSeedOnly) {
  const ModelConfig config = ModelConfig::parse(synthetic_config().dump(), "config.json");
  const std::string first = safetensors_bytes(stored_synthetic_tensors(config, {.seed = 5}));
  EXPECT_TRUE(first == safetensors_bytes(stored_synthetic_tensors(config, {.seed = 5})));
  EXPECT_FALSE(first == safetensors_bytes(stored_synthetic_tensors(config, {.seed = 6})));
}

}  // namespace
}  // namespace nibble
