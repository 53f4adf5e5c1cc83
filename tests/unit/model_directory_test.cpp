#include "host/checkpoint/model_directory.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/read_tokenizer.h"
#include "host/text/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ModelDirectory, TellsAHubIdFromAMistypedPath) {
  const PathFacts missing = {};
  for (const char* id : {"deepseek-ai/DeepSeek-V4-Flash", "https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash"}) {
    const std::string why = why_no_model(id, missing);
    EXPECT_TRUE(has(why, "downloads nothing")) << why;
    EXPECT_TRUE(has(why, "hf download")) << why;
  }
  for (const char* path : {"/models/v4", "./models/v4", "models", "a/b/c", "../x"}) {
    EXPECT_FALSE(has(why_no_model(path, missing), "hub")) << path;
    EXPECT_TRUE(has(why_no_model(path, missing), "does not exist")) << path;
  }
}

TEST(ModelDirectory, KnowsWhatFilesAreInstead) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "an empty file"},
      {"GGUF\3", "a GGUF file"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"},
      {"<!DOCTYPE html><html>", "a web page"},
      {"\n  <HTML>", "a web page"},
      {"PK\3\4", "a PyTorch file"},
      {"\x1f\x8b\b", "a gzip archive"},
      {"{\"model_type\": 1}", ""},
      {std::string("\x40\0\0\0\0\0\0\0{\"a\"", 12), ""},
  };
  for (const auto& [head, expected] : cases) {
    const std::string why = why_foreign_content(head);
    EXPECT_EQ(why.empty(), std::string(expected).empty()) << why;
    EXPECT_TRUE(has(why, expected)) << why;
    const PathFacts file = {.type = PathFacts::Type::kFile, .entries = {}, .head = head};
    EXPECT_TRUE(has(why_no_model("x", file), "'x' is not a directory")) << "given with -m";
  }
}

TEST(ModelDirectory, KnowsWhatADirectoryHasInstead) {
  const auto why = [](std::vector<std::string> entries) {
    return why_no_model("dir", {.type = PathFacts::Type::kDirectory, .entries = std::move(entries), .head = {}});
  };
  EXPECT_EQ(why({"config.json"}), "");
  EXPECT_TRUE(has(why({}), "dir/config.json: no such file"));
  EXPECT_TRUE(has(why({"v4-Q4_K_M.gguf"}), "GGUF"));
  EXPECT_TRUE(has(why({"pytorch_model-00001-of-00002.bin"}), "PyTorch"));
  EXPECT_TRUE(has(why({"model-00001.safetensors.incomplete"}), "did not finish"));
  EXPECT_TRUE(has(why({"blobs", "refs", "snapshots"}), "Hugging Face cache"));
}

TEST(ModelDirectory, FindsShardsWithoutAnIndex) {
  std::string problem;
  EXPECT_EQ(shards_among({"b.safetensors", "config.json", "model.safetensors"}, problem),
            (std::vector<std::string>{"b.safetensors", "model.safetensors"}));
  EXPECT_EQ(shards_among({"model0-mp1.safetensors"}, problem), std::vector<std::string>{"model0-mp1.safetensors"});
  EXPECT_EQ(shards_among({"model-00002-of-00003.safetensors"}, problem).size(), 3u) << "its name tells of the others";
  EXPECT_EQ(problem, "");
  EXPECT_TRUE(shards_among({"model0-mp4.safetensors", "model1-mp4.safetensors"}, problem).empty());
  EXPECT_TRUE(has(problem, "one of 4 parts")) << problem;
  EXPECT_TRUE(shards_among({"config.json", "x.gguf"}, problem).empty());
  EXPECT_TRUE(has(problem, "GGUF")) << problem;
}

TEST(ModelDirectory, OpensShardsWithoutAnIndex) {
  const TempDirectory directory;
  write_synthetic_model(directory.path(), synthetic_config().dump());
  const size_t count = Checkpoint::open(directory.path()).tensor_count();
  fs::remove(directory.file("model.safetensors.index.json"));
  EXPECT_EQ(Checkpoint::open(directory.path()).tensor_count(), count);
  fs::remove(directory.file("model-00002-of-00002.safetensors"));
  expect_error([&] { Checkpoint::open(directory.path()); }, "model-00002-of-00002.safetensors: no such file");
  directory.write("model-00002-of-00002.safetensors.part", "");
  expect_error([&] { Checkpoint::open(directory.path()); }, "its download did not finish");
  fs::create_symlink("../../blobs/abc", directory.file("model-00002-of-00002.safetensors"));
  expect_error([&] { Checkpoint::open(directory.path()); }, "the link points to '../../blobs/abc', which is not there");
}

// A shard, a tokenizer and a configuration that are something else.
TEST(ModelDirectory, NamesForeignFiles) {
  const TempDirectory directory;
  write_synthetic_model(directory.path(), synthetic_config().dump());
  const char* const kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n";
  directory.write("tokenizer.json", kPointer);
  expect_error([&] { read_tokenizer(directory.file("tokenizer.json")); }, "tokenizer.json is a Git LFS pointer");
  expect_error([&] { read_tokenizer("deepseek-ai/DeepSeek-V4-Flash/tokenizer.json"); }, "hf download");
  directory.write("model-00002-of-00002.safetensors", kPointer);
  expect_error([&] { Checkpoint::open(directory.path()); }, "00002.safetensors is a Git LFS pointer");
  directory.write("model-00002-of-00002.safetensors", "");
  expect_error([&] { Checkpoint::open(directory.path()); }, "00002.safetensors is an empty file");
  directory.write("config.json", "<!doctype html>\n<title>502</title>");
  expect_error([&] { Checkpoint::open(directory.path()); }, "config.json is a web page");
  expect_error([&] { Checkpoint::open(directory.file("config.json")); }, "not a directory but a web page");
}

}  // namespace
}  // namespace nibble
