// Checkpoints that are laid out otherwise than the first release: parts beside the trunk, scales stored as floats,
// names of other tools.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/parts.h"
#include "host/checkpoint/weights.h"
#include "runtime/base/format.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

const std::string kDsparkModel = NIBBLE_SOURCE_DIR "/tests/golden/models/v4-dspark-tiny";

ModelWeights load_tensors_of(const nlohmann::json& config, const std::vector<StoredTensor>& tensors) {
  const TempDirectory directory;
  write_checkpoint(directory.path(), config.dump(), tensors, 3);
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  return load_weights(checkpoint, checkpoint.config());
}

// Loads the synthetic model with changed tensors.
ModelWeights load(const std::function<void(std::vector<StoredTensor>&)>& change) {
  const nlohmann::json config = synthetic_config();
  std::vector<StoredTensor> tensors = stored_synthetic_tensors(ModelConfig::parse(config.dump(), "config.json"));
  change(tensors);
  return load_tensors_of(config, tensors);
}

StoredTensor& tensor_named(std::vector<StoredTensor>& tensors, const std::string& name) {
  for (StoredTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  fail(ErrorCode::kInternal, "the synthetic model has no '{}'", name);
}

// mtp.0.main_proj is a DSpark head's, whatever num_nextn_predict_layers says: the trunk is there, the head is not used.
TEST(OtherLayouts, LoadsTheTrunkBesideADsparkHead) {
  const Checkpoint checkpoint = Checkpoint::open(kDsparkModel);
  EXPECT_EQ(checkpoint.draft(), Draft::kDspark);
  EXPECT_EQ(checkpoint.config().num_nextn_predict_layers, 1u);
  EXPECT_EQ(checkpoint.config().extra_ratios(), 3u);
  const ModelWeights weights = load_weights(checkpoint, checkpoint.config());
  EXPECT_EQ(weights.layers.size(), 3u);
  EXPECT_FALSE(weights.mtp.has_value());
  const WeightSurvey survey = survey_weights(checkpoint, checkpoint.config(), 10);
  EXPECT_EQ(survey.problem_count, 0u);
  const std::vector<Part> parts = parts_not_used(checkpoint, survey.unused);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].name, "DSpark head, 3 stages");
  EXPECT_EQ(parts[0].tensors, survey.unused.size());
  EXPECT_GT(parts[0].bytes, 1'000'000u);
}

// What lies beside the trunk is named; where it is no MTP block nothing of it is asked for.
TEST(OtherLayouts, NamesWhatLiesBesideTheTrunk) {
  nlohmann::json config = synthetic_config();
  config["num_nextn_predict_layers"] = 3;
  const ModelConfig parsed = ModelConfig::parse(config.dump(), "config.json");
  std::vector<StoredTensor> tensors = stored_synthetic_tensors(parsed);
  std::erase_if(tensors, [](const StoredTensor& t) { return t.name.ends_with("_proj.weight") && t.name[0] == 'm'; });
  std::erase_if(tensors, [](const StoredTensor& t) { return t.name.ends_with("_proj.scale") && t.name[0] == 'm'; });
  for (const char* name :
       {"vision.blocks.0.attn.qkv.weight", "image_start", "aligner.0.weight", "engram.table",
        "layers.0.ffn.gate.bias_vl", "layers.1.ffn.gate.bias_vl", "layers.0.attn.extra", "layers.1.attn.extra"}) {
    tensors.push_back({.name = name, .dtype = Dtype::kU8, .shape = {2}, .bytes = "ab"});
  }
  const TempDirectory directory;
  write_checkpoint(directory.path(), config.dump(), tensors, 2);
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  EXPECT_EQ(checkpoint.draft(), Draft::kUnknown);
  EXPECT_FALSE(load_weights(checkpoint, parsed).mtp.has_value());
  std::map<std::string, uint64_t> counts;
  for (const Part& part : parts_not_used(checkpoint, survey_weights(checkpoint, parsed, 1).unused)) {
    counts[part.name] = part.tensors;
  }
  EXPECT_GT(counts["unknown part for speculation 'mtp.*'"], 20u);
  counts.erase("unknown part for speculation 'mtp.*'");
  EXPECT_EQ(counts, (std::map<std::string, uint64_t>{{"vision encoder", 2},
                                                     {"vision aligner", 1},
                                                     {"router biases of image tokens", 2},
                                                     {"unknown 'layers.N.attn.extra'", 2},
                                                     {"unknown 'engram.*'", 1}}));
}

// The tensors decide, not the counter: a block that config.json does not announce is one all the same.
TEST(OtherLayouts, FindsAnMtpBlockThatIsNotAnnounced) {
  nlohmann::json config = synthetic_config();
  const std::vector<StoredTensor> tensors = stored_synthetic_tensors(ModelConfig::parse(config.dump(), "config.json"));
  config.erase("num_nextn_predict_layers");
  EXPECT_TRUE(load_tensors_of(config, tensors).mtp.has_value());
}

// A download may leave out the shards that hold nothing of the trunk.
TEST(OtherLayouts, NeedsNoShardOfWhatIsNotUsed) {
  const TempDirectory directory;
  std::filesystem::copy(kDsparkModel, directory.path(), std::filesystem::copy_options::recursive);
  std::filesystem::remove(directory.file("model-00002-of-00002.safetensors"));
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  EXPECT_TRUE(checkpoint.missing_shards().empty());
  EXPECT_EQ(checkpoint.missing_beside(), std::vector<std::string>{"model-00002-of-00002.safetensors"});
  EXPECT_EQ(load_weights(checkpoint, checkpoint.config()).layers.size(), 3u);
  const std::vector<Part> parts = parts_not_used(checkpoint, {});
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].name, "DSpark head, 3 stages");
  EXPECT_GT(parts[0].missing, 100u);
}

// A config.json that says less than is stored would compute another model.
TEST(OtherLayouts, RefusesAConfigThatLeavesStoredPartsOut) {
  const std::vector<StoredTensor> tensors =
      stored_synthetic_tensors(ModelConfig::parse(synthetic_config().dump(), "config.json"));
  nlohmann::json config = synthetic_config();
  config["compress_ratios"] = {0, 4, 0};
  expect_error([&] { load_tensors_of(config, tensors); }, "'layers.2.attn.compressor.*'", "compress_ratios is 0");
  config["compress_ratios"] = {0, 0, 128};
  expect_error([&] { load_tensors_of(config, tensors); }, "'layers.1.attn.indexer.*'", "expected 4");
  config["compress_ratios"] = {0, 4, 128};
  config["num_hidden_layers"] = 2;
  expect_error([&] { load_tensors_of(config, tensors); }, "'layers.2.*'", "num_hidden_layers is 2");
}

// Stores the scales of a model as floats of the same values.
void store_scales_as_f32(std::vector<StoredTensor>& tensors) {
  for (StoredTensor& tensor : tensors) {
    if (tensor.dtype != Dtype::kF8E8M0) continue;
    std::string bytes;
    for (const char code : tensor.bytes) {
      const float value = e8m0_to_f32(static_cast<uint8_t>(code));
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    tensor = {.name = tensor.name, .dtype = Dtype::kF32, .shape = tensor.shape, .bytes = bytes};
  }
}

TEST(OtherLayouts, ConvertsFloatScalesWithoutLoss) {
  for (const bool fp8_experts : {false, true}) {
    const nlohmann::json config = synthetic_config();
    const ModelConfig parsed = ModelConfig::parse(config.dump(), "config.json");
    const std::vector<StoredTensor> stored = stored_synthetic_tensors(parsed, {.fp8_experts = fp8_experts});
    std::vector<StoredTensor> as_floats = stored;
    store_scales_as_f32(as_floats);
    const TempDirectory directory;
    write_checkpoint(directory.path(), config.dump(), as_floats, 2);
    const Checkpoint checkpoint = Checkpoint::open(directory.path());
    const ModelWeights weights = load_weights(checkpoint, parsed);
    EXPECT_GT(weights.converted.size(), 30u);
    for (const auto& scales : weights.converted) {
      const auto same = [&](const StoredTensor& tensor) { return tensor.name == scales->view.name; };
      const auto original = std::find_if(stored.begin(), stored.end(), same);
      ASSERT_NE(original, stored.end());
      EXPECT_EQ(scales->view.dtype, Dtype::kF8E8M0);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(scales->codes.data()), scales->codes.size()),
                original->bytes);
    }
    EXPECT_EQ(weights.layers[0].ffn.experts[0].w1.scale->dtype, Dtype::kF8E8M0);
    EXPECT_TRUE(weights.layers[0].attn.wq_a.scale_converted);
  }
}

TEST(OtherLayouts, RefusesScalesThatAreNoPowersOfTwo) {
  for (const float bad : {0.3f, 0.0f, -0.5f, std::nanf(""), INFINITY, std::ldexp(1.0f, -128)}) {
    const auto change = [&](std::vector<StoredTensor>& tensors) {
      store_scales_as_f32(tensors);
      tensor_named(tensors, "layers.1.attn.wq_b.scale").bytes.replace(4, 4, reinterpret_cast<const char*>(&bad), 4);
    };
    expect_error([&] { load(change); }, "tensor 'layers.1.attn.wq_b.scale' in ", fmt::format("element 1 is {}", bad),
                 "powers of two from 2^-127 to 2^127");
  }
}

// Every code that is a number.
TEST(OtherLayouts, ConvertsEveryScaleCode) {
  std::string bytes;
  for (int code = 0; code < 255; ++code) {
    const float value = e8m0_to_f32(static_cast<uint8_t>(code));
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  const TensorView stored = {
      .name = "s", .dtype = Dtype::kF32, .shape = {255}, .data = std::as_bytes(std::span(bytes)), .file = nullptr};
  const ConvertedScales scales(stored);
  EXPECT_EQ(scales.problem, "");
  for (size_t code = 0; code < 255; ++code) EXPECT_EQ(std::to_integer<size_t>(scales.codes[code]), code);
}

TEST(OtherLayouts, SaysWhichOtherLayoutItIs) {
  const auto rename_to = [](const char* part) {
    return [part](std::vector<StoredTensor>& tensors) {
      for (StoredTensor& tensor : tensors) tensor.name = "model.layers.0.self_attn" + std::string(part) + tensor.name;
    };
  };
  expect_error([&] { load(rename_to(".q_a_proj.")); }, "transformers library");
  expect_error([&] { load(rename_to(".q_a_proj.qweight.")); }, "AWQ, GPTQ");
  expect_error([&] { load(rename_to(".weight_packed")); }, "compressed-tensors");
  expect_error([&] { load(rename_to(".weight_scale_2")); }, "NVFP4");
  expect_error([&] { load(rename_to(".switch_mlp.")); }, "MLX");
}

}  // namespace
}  // namespace nibble
