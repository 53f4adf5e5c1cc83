#include "host/checkpoint/checkpoint.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirstShard = "model-00001-of-00002.safetensors";
constexpr const char* kSecondShard = "model-00002-of-00002.safetensors";

const std::vector<StoredTensor> kTensors = {
    {.name = "a", .dtype = Dtype::kU8, .shape = {1}, .bytes = "A"},
    {.name = "b", .dtype = Dtype::kU8, .shape = {1}, .bytes = "B"},
    {.name = "model.c.weight_scale_inv", .dtype = Dtype::kF8E8M0, .shape = {1}, .bytes = "C"},
    {.name = "head.scale", .dtype = Dtype::kU8, .shape = {1}, .bytes = "D"}};

char first_byte(const TensorView* tensor) {
  return tensor == nullptr ? '?' : static_cast<char>(std::to_integer<int>(tensor->data[0]));
}

// A directory with kTensors in two shards: a and b, then c and d.
class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() { write_checkpoint(directory_.path(), synthetic_config().dump(), kTensors, 2); }

  std::string open_error() {
    return error_of([&] { Checkpoint::open(directory_.path()); });
  }

  void write_index(const nlohmann::json& map) { directory_.write(kIndex, nlohmann::json{{"weight_map", map}}.dump()); }

  nlohmann::json weight_map() {
    return {{"a", kFirstShard},
            {"b", kFirstShard},
            {"model.c.weight_scale_inv", kSecondShard},
            {"head.scale", kSecondShard}};
  }

  TempDirectory directory_;
};

TEST_F(CheckpointTest, FindsTensorsByCanonicalName) {
  const Checkpoint checkpoint = Checkpoint::open(directory_.path());
  EXPECT_EQ(checkpoint.tensor_count(), 4u);
  EXPECT_EQ(checkpoint.shards().size(), 2u);
  EXPECT_EQ(checkpoint.config().num_hidden_layers, 3u);
  EXPECT_EQ(first_byte(checkpoint.find("a")), 'A');
  EXPECT_EQ(first_byte(checkpoint.find("c.scale")), 'C') << "'model.' and 'weight_scale_inv' are other spellings";
  EXPECT_EQ(first_byte(checkpoint.find("head.scale")), 'D');
  EXPECT_EQ(checkpoint.find("c.scale")->name, "model.c.weight_scale_inv") << "views keep the stored name";
  EXPECT_EQ(checkpoint.find("model.c.weight_scale_inv"), nullptr);
  EXPECT_EQ(checkpoint.find("e"), nullptr);
  EXPECT_TRUE(checkpoint.has_prefix("head."));
  EXPECT_FALSE(checkpoint.has_prefix("e"));
}

TEST_F(CheckpointTest, FindsTheSameAfterAMove) {
  Checkpoint first = Checkpoint::open(directory_.path());
  const TensorView* const view = first.find("b");
  const Checkpoint second = std::move(first);
  EXPECT_EQ(second.find("b"), view);
  EXPECT_EQ(first_byte(view), 'B');
}

TEST_F(CheckpointTest, OpensASingleFileWithoutAnIndex) {
  const TempDirectory directory;
  write_checkpoint(directory.path(), synthetic_config().dump(), kTensors, 0);
  EXPECT_EQ(first_byte(Checkpoint::open(directory.path()).find("head.scale")), 'D');
}

TEST_F(CheckpointTest, ReportsADirectoryThatIsNoModel) {
  expect_error([] { Checkpoint::open("/nonexistent/model"); }, "/nonexistent/model", "does not exist");
  expect_error([&] { Checkpoint::open(directory_.file("config.json")); }, "config.json", "not a directory");
  const TempDirectory empty;
  expect_error([&] { Checkpoint::open(empty.path()); }, "config.json", "no such file");
  empty.write("config.json", synthetic_config().dump());
  expect_error([&] { Checkpoint::open(empty.path()); }, empty.path(), "neither model.safetensors.index.json nor any");
}

TEST_F(CheckpointTest, ReportsAMissingShard) {
  fs::remove(directory_.file(kSecondShard));
  const std::string message = open_error();
  EXPECT_NE(message.find(kSecondShard), std::string::npos) << message;
  EXPECT_NE(message.find("places 2 tensors in it, 'head.scale' among them"), std::string::npos) << message;
  const Checkpoint partial = Checkpoint::open(directory_.path(), MissingShards::kReport);
  EXPECT_EQ(partial.missing_shards(), std::vector<std::string>{kSecondShard});
  EXPECT_EQ(first_byte(partial.find("a")), 'A');
  EXPECT_EQ(partial.find("head.scale"), nullptr);
}

TEST_F(CheckpointTest, ReportsATruncatedShard) {
  const std::string bytes = read_bytes(directory_.file(kFirstShard));
  directory_.write(kFirstShard, bytes.substr(0, bytes.size() - 1));
  expect_error([&] { Checkpoint::open(directory_.path()); }, kFirstShard, "tensor 'b'", "truncated");
  directory_.write(kFirstShard, bytes.substr(0, 20));
  expect_error([&] { Checkpoint::open(directory_.path()); }, kFirstShard, "truncated");
}

TEST_F(CheckpointTest, ReportsAnIndexThatContradictsAShard) {
  nlohmann::json map = weight_map();
  map["a"] = kSecondShard;
  write_index(map);
  expect_error([&] { Checkpoint::open(directory_.path()); }, "tensor 'a' is in", kFirstShard, kIndex);
  map = weight_map();
  map["x"] = kFirstShard;
  write_index(map);
  expect_error([&] { Checkpoint::open(directory_.path()); }, "tensor 'x' is not in", kFirstShard, kIndex);
  map = weight_map();
  map.erase("b");
  write_index(map);
  expect_error([&] { Checkpoint::open(directory_.path()); }, "tensor 'b' is in", "does not place it");
}

TEST_F(CheckpointTest, ReportsATensorStoredTwice) {
  std::vector<StoredTensor> tensors = kTensors;
  tensors[3].name = "c.scale";
  write_checkpoint(directory_.path(), synthetic_config().dump(), tensors, 2);
  expect_error([&] { Checkpoint::open(directory_.path()); }, "'c.scale'", "is also in", "'model.c.weight_scale_inv'");
  tensors[2].name = "a";
  tensors[3].name = "d";
  write_checkpoint(directory_.path(), synthetic_config().dump(), tensors, 2);
  expect_error([&] { Checkpoint::open(directory_.path()); }, "tensor 'a'", kFirstShard);
}

TEST_F(CheckpointTest, ReportsADamagedIndex) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "an empty file"},
      {"[]", "'weight_map' is missing"},
      {"{}", "'weight_map' is missing"},
      {R"({"weight_map": {}})", "'weight_map' is missing"},
      {R"({"weight_map": ["a"]})", "'weight_map' is missing"},
      {R"({"weight_map": {"a": 3}})", "tensor 'a' is placed in 3, expected a file name"},
      {R"({"weight_map": {"a": ""}})", "tensor 'a' is placed in \"\""},
      {R"({"weight_map": {"a": "../secret"}})", "without a directory"},
      {R"({"weight_map": {"a": "/etc/passwd"}})", "without a directory"},
      {R"({"weight_map": {"a": ".."}})", "without a directory"},
      {R"({"weight_map": {"a": "x\u0000.safetensors"}})", "without a directory"},
      {R"({"weight_map": {"a": "x", "a": "y"}})", "'a' appears twice"},
      {std::string(1000, '['), "nested deeper"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text.substr(0, 60));
    directory_.write(kIndex, text);
    expect_error([&] { Checkpoint::open(directory_.path()); }, kIndex, expected);
  }
}

TEST(Checkpoint, CanonicalNames) {
  EXPECT_EQ(Checkpoint::canonical_name("layers.0.attn.wq_a.weight"), "layers.0.attn.wq_a.weight");
  EXPECT_EQ(Checkpoint::canonical_name("model.layers.0.attn.wq_a.weight_scale_inv"), "layers.0.attn.wq_a.scale");
  EXPECT_EQ(Checkpoint::canonical_name("model.norm.weight"), "norm.weight");
  EXPECT_EQ(Checkpoint::canonical_name("remodel.weight_scale_inverse"), "remodel.weight_scale_inverse");
}

}  // namespace
}  // namespace nibble
