#include "runtime/base/file_cache.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

class FileCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(NIBBLE_BINARY_DIR) / "file_cache_test" / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    Rng rng(7);
    for (int i = 0; i < 1000; ++i) content_.push_back(static_cast<std::byte>(rng.below(256)));
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  std::vector<std::byte> content_;
};

TEST_F(FileCacheTest, GivesBackWhatWasStoredUnderTheSameKeyOnly) {
  const FileCache cache(folder_ / "deeper");
  EXPECT_FALSE(cache.load("key").has_value());
  cache.store("key", content_);
  cache.store("other", std::span(content_).first(0));
  EXPECT_EQ(cache.load("key"), content_);
  ASSERT_TRUE(cache.load("other").has_value());
  EXPECT_TRUE(cache.load("other")->empty());
  EXPECT_FALSE(cache.load("kez").has_value());
  EXPECT_EQ(FileCache(folder_ / "deeper").load("key"), content_);
}

TEST_F(FileCacheTest, LeavesNoDraftsBehind) {
  FileCache(folder_).store("key", content_);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_)) ++files;
  EXPECT_EQ(files, 1u);
}

TEST_F(FileCacheTest, FindsEveryFlippedByteAndEveryTruncation) {
  const FileCache cache(folder_);
  cache.store("key", content_);
  const fs::path path = cache.path_of("key");
  std::ifstream in(path, std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  const auto load_of = [&](const std::string& damaged) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
    return cache.load("key");
  };
  for (size_t i = 0; i < whole.size(); i += 13) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    EXPECT_FALSE(load_of(damaged).has_value()) << "byte " << i;
    EXPECT_FALSE(load_of(whole.substr(0, i)).has_value()) << "cut at " << i;
  }
  EXPECT_FALSE(load_of(whole + "x").has_value());
  EXPECT_EQ(load_of(whole), content_);
}

TEST_F(FileCacheTest, ReplacesADamagedEntry) {
  const FileCache cache(folder_);
  cache.store("key", content_);
  std::ofstream(cache.path_of("key"), std::ios::trunc) << "rubbish";
  EXPECT_FALSE(cache.load("key").has_value());
  cache.store("key", content_);
  EXPECT_EQ(cache.load("key"), content_);
}

TEST_F(FileCacheTest, AFolderThatCannotBeMadeIsNoCache) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "file") << "not a folder";
  const FileCache cache(folder_ / "file" / "cache");
  testing::internal::CaptureStderr();
  cache.store("key", content_);
  cache.store("other", content_);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_FALSE(cache.load("key").has_value());
  EXPECT_NE(said.find("cannot be written"), std::string::npos) << said;
  EXPECT_EQ(said.find("cannot be written"), said.rfind("cannot be written")) << "one warning, not two: " << said;
}

TEST(FileCache, WithoutAFolderKeepsNothing) {
  const FileCache cache;
  cache.store("key", {});
  EXPECT_FALSE(cache.load("key").has_value());
}

}  // namespace
}  // namespace nibble
