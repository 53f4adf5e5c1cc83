#include "runtime/base/output_file.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

size_t files_in(const TempDirectory& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()));
}

TEST(OutputFile, AppearsWholeOrNotAtAll) {
  const TempDirectory directory;
  const std::string path = directory.write("a", "old");
  {
    OutputFile file(path);
    file.write("new");
    EXPECT_EQ(read_bytes(path), "old");
  }
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(files_in(directory), 1u);
  fs::permissions(path, fs::perms(0640));
  write_output(path, "new");
  EXPECT_EQ(read_bytes(path), "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
  EXPECT_EQ(files_in(directory), 1u);
}

TEST(OutputFile, LinksStayLinksAndDevicesDevices) {
  const TempDirectory directory;
  fs::create_symlink("end", directory.file("middle"));
  fs::create_symlink(directory.file("middle"), directory.file("link"));
  write_output(directory.file("link"), "text");
  EXPECT_TRUE(fs::is_symlink(directory.file("link")) && fs::is_symlink(directory.file("middle")));
  EXPECT_EQ(read_bytes(directory.file("end")), "text");
  write_output("/dev/null", "text");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  expect_error([&] { write_output("/dev/full", "text"); }, "/dev/full", "No space left");
}

TEST(OutputFile, ReplacesWhatIsItsOwnOnly) {
  const TempDirectory directory;
  const std::string path = directory.write("config.json", "{}");
  expect_error([&] { OutputFile file(path, "MAGIC"); }, path, "another kind");
  expect_error([&] { require_output(path, {}, "MAGIC"); }, path, "another kind");
  directory.write("own", "MAGIC 1");
  directory.write("empty", "");
  for (const char* name : {"own", "empty", "new"}) {
    require_output(directory.file(name), {}, "MAGIC");
    OutputFile file(directory.file(name), "MAGIC");
    file.write("MAGIC 2");
    file.finish();
    EXPECT_EQ(read_bytes(directory.file(name)), "MAGIC 2");
  }
  EXPECT_EQ(files_in(directory), 4u);
}

TEST(OutputFile, IsRefusedBeforeTheWork) {
  const TempDirectory directory;
  expect_error([&] { require_output(directory.path()); }, directory.path(), "a directory");
  expect_error([&] { require_output(directory.file("no/a")); }, "no/a", "No such file");
  const std::string input = directory.write("input.json", "{}");
  fs::create_symlink(input, directory.file("link"));
  fs::create_directory(directory.file("out"));
  fs::create_symlink(directory.path(), directory.file("out/model"));
  for (const std::string& path :
       {input, directory.file("link"), directory.file("out/model/input.json"), directory.file("out/../input.json")}) {
    expect_error([&] { require_output(path, {input}); }, path, "reads this file");
    expect_error([&] { require_output(path, {directory.path()}); }, path, "reads this file");
  }
  require_output(directory.file("new"), {directory.path(), input});
  require_output("/dev/null", {directory.path()});
  EXPECT_EQ(read_bytes(input), "{}");
}

}  // namespace
}  // namespace nibble
