#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/weights.h"
#include "host/synthetic/checkpoint_writer.h"
#include "host/synthetic/released_shapes.h"
#include "host/synthetic/values.h"
#include "tests/support/expect_error.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

TEST(ReleasedShapes, AreTheOnesThatWerePublished) {
  const ModelConfig flash = ModelConfig::parse(released_config("v4-flash", 0).dump(), "v4-flash");
  EXPECT_EQ(flash.num_hidden_layers, 43u);
  EXPECT_EQ(flash.compress_ratios.size(), 44u);
  EXPECT_EQ(flash.layer_plan(0).ratio, 0u);
  EXPECT_EQ(flash.layer_plan(2).ratio, 4u);
  EXPECT_EQ(flash.layer_plan(41).ratio, 128u);
  EXPECT_EQ(flash.layer_plan(42).ratio, 4u);
  EXPECT_EQ(flash.mtp_plan().ratio, 0u);
  const ModelConfig pro = ModelConfig::parse(released_config("v4-pro", 0).dump(), "v4-pro");
  EXPECT_EQ(pro.num_hidden_layers, 61u);
  EXPECT_EQ(pro.layer_plan(0).ratio, 128u);
  EXPECT_EQ(pro.layer_plan(60).ratio, 4u);
  EXPECT_EQ(pro.mtp_plan().ratio, 0u);
}

TEST(ReleasedShapes, CanBeCut) {
  const ModelConfig cut = ModelConfig::parse(released_config("v4-flash", 4).dump(), "v4-flash");
  EXPECT_EQ(cut.compress_ratios, (std::vector<uint32_t>{0, 0, 4, 128}));
  EXPECT_EQ(cut.num_nextn_predict_layers, 0u);
  EXPECT_EQ(ModelConfig::parse(released_config("v4-flash", 1).dump(), "v4-flash").num_hash_layers, 1u);
  expect_error([] { released_config("v4-flash", 44); }, "43 layers, 44");
  expect_error([] { released_config("v3", 1); }, "v4-flash, v4-pro");
}

TEST(SyntheticBytes, DoNotDependOnThePieces) {
  const ModelConfig config = ModelConfig::parse(synthetic_config().dump(), "config.json");
  for (const SyntheticTensor& tensor : synthetic_tensors(config, {})) {
    std::vector<std::byte> whole(tensor.bytes());
    SyntheticBytes(tensor, 3).fill(whole);
    // Pieces of an even number of rows: a draw yields four elements.
    const size_t piece = tensor.shape.back() * dtype_bytes(tensor.dtype) * 4;
    std::vector<std::byte> cut(tensor.bytes());
    SyntheticBytes bytes(tensor, 3);
    for (size_t done = 0; done < cut.size(); done += piece) {
      bytes.fill(std::span(cut).subspan(done, std::min(piece, cut.size() - done)));
    }
    ASSERT_EQ(whole, cut) << tensor.name;
  }
}

TEST(SyntheticCheckpoint, IsCompleteOnDisk) {
  const TempDirectory directory;
  const std::string model = directory.path() + "/model";
  uint64_t last = 0;
  write_synthetic_checkpoint(model, synthetic_config(), {.seed = 4}, [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_LE(done, total);
    last = done;
  });
  const Checkpoint checkpoint = Checkpoint::open(model);
  EXPECT_EQ(load_weights(checkpoint, checkpoint.config()).layers.size(), 3u);
  for (const StoredTensor& tensor : stored_synthetic_tensors(checkpoint.config(), {.seed = 4})) {
    const TensorView view = *checkpoint.find(tensor.name);
    ASSERT_EQ(view.data.size(), tensor.bytes.size());
    ASSERT_EQ(std::memcmp(view.data.data(), tensor.bytes.data(), view.data.size()), 0) << tensor.name;
  }
}

TEST(SyntheticCheckpoint, IsNotWrittenOverOtherFiles) {
  const TempDirectory directory;
  std::ofstream(directory.path() + "/precious") << "x";
  expect_error([&] { write_synthetic_checkpoint(directory.path(), synthetic_config(), {}); }, "not empty");
  expect_error([&] { write_synthetic_checkpoint(directory.path() + "/precious", synthetic_config(), {}); },
               "precious: is not a directory");
}

}  // namespace
}  // namespace nibble
