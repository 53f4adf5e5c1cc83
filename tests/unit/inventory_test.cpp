#include "host/checkpoint/inventory.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

TEST(Inventory, CountsTheParametersOfEveryKind) {
  const TempDirectory directory;
  write_synthetic_model(directory.path(), synthetic_config().dump());
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  const Inventory inventory = take_inventory(checkpoint);
  // 3 layers of 5 experts with 3 matrices of 64 x 128; FP4 with a scale byte per 32.
  const uint64_t expert = 3 * 64 * 128;
  const TensorTotals& experts = inventory.by_kind.at("experts");
  EXPECT_EQ(experts.parameters, 15 * expert);
  EXPECT_EQ(experts.tensors, 15u * 6);
  EXPECT_EQ(experts.bytes, 15 * (expert / 2 + expert / 32));
  EXPECT_EQ(experts.bytes_by_dtype.at("FP4"), 15 * expert / 2);
  EXPECT_EQ(experts.dtypes(), "FP4");
  EXPECT_EQ(inventory.by_kind.at("shared").parameters, 3 * expert);
  EXPECT_EQ(inventory.by_kind.at("embedding").parameters, 61u * 128);
  EXPECT_EQ(inventory.by_kind.at("head").bytes, 61u * 128 * 2);
  // The layer with ratio 0: wq_a, wq_b, wkv, wo_a, wo_b, two norms and the sink.
  EXPECT_EQ(inventory.layers[0].attention.parameters,
            64u * 128 + 384 * 64 + 96 * 128 + 64 * 192 + 128 * 64 + 64 + 96 + 4);
  EXPECT_EQ(inventory.layers[0].attention.dtypes(), "F8_E4M3, BF16, F32");
  EXPECT_GT(inventory.layers[1].attention.parameters, inventory.layers[2].attention.parameters);
  EXPECT_TRUE(inventory.layers[0].plan.hash_routed);
  EXPECT_FALSE(inventory.layers[1].plan.hash_routed);
  EXPECT_GT(inventory.by_kind.at("mtp").parameters, 5 * expert);
  EXPECT_EQ(inventory.active_parameters, inventory.parameters - 9 * expert) << "2 of 5 experts in 3 layers";
  uint64_t bytes = 0;
  uint64_t parameters = 0;
  for (const auto& [kind, totals] : inventory.by_kind) {
    bytes += totals.bytes;
    parameters += totals.parameters;
  }
  EXPECT_EQ(inventory.by_kind.size(), std::size(Inventory::kKinds));
  EXPECT_EQ(bytes, inventory.all.bytes);
  EXPECT_EQ(parameters, inventory.all.parameters);
  EXPECT_EQ(inventory.parameters, parameters - inventory.by_kind.at("mtp").parameters);
}

TEST(Inventory, PutsStrangeNamesUnderOther) {
  const TempDirectory directory;
  const std::vector<StoredTensor> tensors = {
      {.name = "layers.99.attn.wq_a.weight", .dtype = Dtype::kU8, .shape = {1}, .bytes = "a"},
      {.name = "layers.4294967296.attn.x", .dtype = Dtype::kU8, .shape = {1}, .bytes = "b"},
      {.name = "layers.", .dtype = Dtype::kU8, .shape = {1}, .bytes = "c"},
      {.name = "", .dtype = Dtype::kU8, .shape = {1}, .bytes = "d"}};
  write_checkpoint(directory.path(), synthetic_config().dump(), tensors, 0);
  const Inventory inventory = take_inventory(Checkpoint::open(directory.path()));
  EXPECT_EQ(inventory.by_kind.at("other").bytes, 2u);
  EXPECT_EQ(inventory.by_kind.at("unused").bytes, 1u);
  EXPECT_EQ(inventory.by_kind.at("attention").bytes, 1u);
  EXPECT_EQ(inventory.all.bytes, 4u);
  EXPECT_EQ(inventory.parameters, 3u);
}

}  // namespace
}  // namespace nibble
