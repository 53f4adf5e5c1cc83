#include "host/kv/session_file.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/kv/session_file_format.h"
#include "runtime/base/rng.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string random_text(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::string text(count, '\0');
  for (char& c : text) c = static_cast<char>(rng.below(256));
  return text;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

using NamedBytes = std::pair<std::string, std::string>;

// Sizes on both sides of the alignment, and none at all.
std::vector<NamedBytes> sample_sections() {
  return {{"tokens", random_text(40, 1)}, {"ring", random_text(64, 2)}, {"none", ""}, {"keys", random_text(193, 3)}};
}

void write_file(const std::string& path, const std::vector<NamedBytes>& sections, const json& info) {
  SessionFileWriter writer(path);
  for (const auto& [name, bytes] : sections) {
    writer.begin_section(name);
    writer.write(bytes_of(bytes).first(bytes.size() / 3));
    writer.write(bytes_of(bytes).subspan(bytes.size() / 3));
  }
  writer.finish(info);
}

// Everything a reader may use of a file.
std::string content_of(const std::string& path) {
  SessionFile file = SessionFile::open(path);
  file.verify();
  std::string all = file.info().dump();
  for (const auto& [name, bytes] : sample_sections()) {
    const auto section = file.section(name, bytes.size());
    all.append(reinterpret_cast<const char*>(section.data()), section.size());
  }
  return all;
}

const json kInfo = {{"position", 7}, {"model", "abc"}};

TEST(SessionFile, RoundTrips) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  const std::vector<NamedBytes> sections = sample_sections();
  write_file(path, sections, kInfo);
  SessionFile file = SessionFile::open(path);
  file.verify();
  EXPECT_EQ(file.info(), kInfo);
  EXPECT_EQ(file.file_bytes(), fs::file_size(path));
  for (const auto& [name, bytes] : sections) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(file.has(name));
    EXPECT_EQ(file.section_bytes(name), bytes.size());
    const auto section = file.section(name, bytes.size());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(section.data()), section.size()), bytes);
  }
  EXPECT_FALSE(file.has("rin"));
  EXPECT_EQ(file.section_bytes("rin"), 0u);
  expect_error([&] { file.section("rin", 64); }, path, "no section 'rin'");
  expect_error([&] { file.section("ring", 65); }, path, "section 'ring'", "64 bytes, expected 65");
}

TEST(SessionFile, GivesNothingThatWasNotVerified) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  write_file(path, sample_sections(), kInfo);
  expect_error([&] { SessionFile::open(path).section("ring", 64); }, "before the file was verified");
}

size_t files_in(const TempDirectory& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()));
}

TEST(SessionFileWriter, LeavesTheOldFileUntilItIsDone) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  write_file(path, sample_sections(), kInfo);
  const std::string old = read_bytes(path);
  {
    SessionFileWriter writer(path);
    writer.begin_section("other");
    writer.write(bytes_of(random_text(5000, 9)));
    EXPECT_EQ(read_bytes(path), old);
    expect_error([&] { SessionFileWriter second(path); }, path, "another process is saving to it");
  }
  EXPECT_EQ(read_bytes(path), old) << "a writer that was given up changes nothing";
  EXPECT_EQ(files_in(directory), 1u) << "and leaves nothing";
  write_file(path, sample_sections(), {{"position", 8}});
  EXPECT_EQ(SessionFile::open(path).info(), json({{"position", 8}}));
  EXPECT_EQ(files_in(directory), 1u);
}

TEST(SessionFileWriter, NamesAPlaceWhereItCannotWrite) {
  const TempDirectory directory;
  expect_error([&] { SessionFileWriter writer(directory.file("no/a")); }, "no/a.partial", "No such file");
  expect_error([&] { SessionFileWriter writer(directory.path()); }, directory.path(), "not a regular file");
  expect_error([&] { SessionFileWriter writer("/proc/a"); }, "/proc/a.partial", "cannot be created");
  fs::create_symlink(directory.file("elsewhere"), directory.file("b.partial"));
  expect_error([&] { SessionFileWriter writer(directory.file("b")); }, "b.partial", "cannot be created");
  EXPECT_FALSE(fs::exists(directory.file("elsewhere")));
}

TEST(SessionFileWriter, ReplacesSessionsOnly) {
  const TempDirectory directory;
  const std::string path = directory.write("config.json", R"({"model_type": "deepseek_v4"})");
  expect_error([&] { SessionFileWriter writer(path); }, path, "no saved session", "name another");
  EXPECT_EQ(read_bytes(path), R"({"model_type": "deepseek_v4"})");
  EXPECT_EQ(files_in(directory), 1u);
  write_file(directory.write("empty", ""), sample_sections(), kInfo);
  EXPECT_EQ(SessionFile::open(directory.file("empty")).info(), kInfo);
  directory.write("b.partial", "somebody's");
  expect_error([&] { SessionFileWriter writer(directory.file("b")); }, "b.partial", "killed");
  EXPECT_EQ(read_bytes(directory.file("b.partial")), "somebody's");
}

TEST(SessionFileWriter, KeepsLinksAndPermissions) {
  const TempDirectory directory;
  write_file(directory.file("a"), sample_sections(), kInfo);
  fs::permissions(directory.file("a"), fs::perms(0640));
  fs::create_symlink("a", directory.file("link"));
  fs::create_symlink(directory.file("new"), directory.file("dangling"));
  write_file(directory.file("link"), sample_sections(), {{"position", 8}});
  write_file(directory.file("dangling"), sample_sections(), kInfo);
  EXPECT_TRUE(fs::is_symlink(directory.file("link")) && fs::is_symlink(directory.file("dangling")));
  EXPECT_EQ(SessionFile::open(directory.file("a")).info(), json({{"position", 8}}));
  EXPECT_EQ(fs::status(directory.file("a")).permissions(), fs::perms(0640));
  EXPECT_EQ(SessionFile::open(directory.file("new")).info(), kInfo);
}

struct Stopped {};

TEST(SessionFile, CanBeStoppedBetweenPieces) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  const std::string large(size_t{100} << 20, 'x');
  const auto after = [](int calls) {
    return [calls]() mutable {
      if (calls-- == 0) throw Stopped{};
    };
  };
  const auto write = [&](const std::function<void()>& between_pieces) {
    SessionFileWriter writer(path, between_pieces);
    writer.begin_section("large");
    for (size_t at = 0; at < large.size(); at += 1 << 20) writer.write(bytes_of(large).subspan(at, 1 << 20));
    writer.finish(kInfo);
  };
  EXPECT_THROW(write(after(0)), Stopped);
  EXPECT_THROW(write(after(2)), Stopped);
  EXPECT_EQ(files_in(directory), 0u);
  write({});
  EXPECT_THROW(SessionFile::open(path).verify(after(2)), Stopped);
  SessionFile::open(path).verify(after(100));
}

// As a full disk, but for the number of the error.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_ = {};
};

TEST(SessionFileWriter, LeavesTheOldFileWhenTheDiskIsFull) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  write_file(path, sample_sections(), kInfo);
  const std::string old = read_bytes(path);
  // In the prefix, in a section, in the table.
  for (const uint64_t limit : {10u, 100u, 600u}) {
    SCOPED_TRACE(limit);
    const FileSizeLimit full(limit);
    expect_error(
        [&] {
          write_file(path, sample_sections(), {{"text", std::string(2000, 'x')}});
        },
        "a.session.partial", "File too large", "is as it was");
    EXPECT_EQ(read_bytes(path), old);
    EXPECT_EQ(files_in(directory), 1u);
  }
}

TEST(SessionFileWriter, LeavesTheOldFileWhenItIsKilled) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  write_file(path, sample_sections(), kInfo);
  const std::string old = read_bytes(path);
  for (int round = 0; round < 3; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      SessionFileWriter writer(path);
      writer.begin_section("endless");
      const std::string bytes(10000, 'x');
      for (;;) {
        if (fs::file_size(path + ".partial") < 1'000'000) writer.write(bytes_of(bytes));
      }
    }
    while (!fs::exists(path + ".partial") || fs::file_size(path + ".partial") < 50'000) ::usleep(1000);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(read_bytes(path), old);
    EXPECT_EQ(files_in(directory), 2u) << "what killed writers leave does not add up";
    expect_error([&] { SessionFile::open(path + ".partial"); }, "not a session file");
  }
  write_file(path, sample_sections(), {{"position", 9}});
  EXPECT_EQ(files_in(directory), 1u);
  EXPECT_EQ(SessionFile::open(path).info(), json({{"position", 9}}));
}

// A file whose checksums are right, whatever it says.
std::string file_with_table(const std::string& sections, const std::string& table, SessionFilePrefix prefix = {}) {
  prefix.table_offset = sizeof prefix + sections.size();
  prefix.table_bytes = table.size();
  prefix.file_bytes = prefix.table_offset + table.size();
  prefix.table_checksum = session_file_checksum(bytes_of(table));
  const auto bytes = std::as_bytes(std::span(&prefix, 1));
  prefix.prefix_checksum = session_file_checksum(bytes.first(offsetof(SessionFilePrefix, prefix_checksum)));
  return std::string(reinterpret_cast<const char*>(&prefix), sizeof prefix) + sections + table;
}

std::string prefix_with(SessionFilePrefix prefix, const std::string& rest) {
  const auto bytes = std::as_bytes(std::span(&prefix, 1));
  prefix.prefix_checksum = session_file_checksum(bytes.first(offsetof(SessionFilePrefix, prefix_checksum)));
  return std::string(reinterpret_cast<const char*>(&prefix), sizeof prefix) + rest;
}

std::string table_of(const std::string& rows) { return R"({"info": {}, "sections": [)" + rows + "]}"; }

TEST(SessionFile, NamesWhatIsWrongWithThePrefix) {
  SessionFilePrefix other_version;
  other_version.version = 2;
  SessionFilePrefix other_prefix;
  other_prefix.prefix_bytes = 128;
  constexpr uint64_t kMost = ~uint64_t{0};
  const std::pair<std::string, const char*> cases[] = {
      {"", "0 bytes, too short"},
      {"nibble", "6 bytes, too short"},
      {std::string(64, '\0'), "not a session file"},
      {"{\"position\": 3}", "not a session file"},
      {std::string("nibble session\n\0\x01\0\0\0", 20), "20 bytes, too short"},
      {file_with_table("", table_of(""), other_version), "of version 2, this program reads version 1"},
      {file_with_table("", table_of(""), other_prefix), "a prefix of 128 bytes, expected 64"},
      {prefix_with({.file_bytes = 100, .table_offset = 64}, ""), "64 bytes, expected 100 (is it truncated?)"},
      {prefix_with({.file_bytes = 64, .table_offset = 0, .table_bytes = 64}, ""), "do not end where the file of 64"},
      {prefix_with({.file_bytes = 64, .table_offset = 65, .table_bytes = kMost}, ""), "do not end where"},
      {prefix_with({.file_bytes = 64, .table_offset = kMost, .table_bytes = 65}, ""), "do not end where"},
      {prefix_with({.file_bytes = 66, .table_offset = 64, .table_bytes = 2}, "{}"), "the table's checksum is"},
  };
  const TempDirectory directory;
  for (const auto& [bytes, expected] : cases) {
    SCOPED_TRACE(expected);
    const std::string path = directory.write("bad.session", bytes);
    expect_error([&] { SessionFile::open(path); }, path, expected);
  }
  expect_error([&] { SessionFile::open(directory.file("none")); }, "none", "No such file");
  expect_error([&] { SessionFile::open(directory.path()); }, directory.path(), "not a regular file");
}

TEST(SessionFile, NamesWhatIsWrongWithTheTable) {
  const std::string zero = R"("0000000000000000")";
  const std::string a8 = R"(["a", 8, )" + zero + "]";
  const std::string most = "18446744073709551615";
  const std::pair<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"[]", "the table is [], expected an object"},
      {R"({"info": {}})", "expected an object with"},
      {R"({"info": 3, "sections": []})", "expected an object with"},
      {R"({"info": {}, "sections": {}})", "expected an object with"},
      {R"({"info": {}, "info": {}, "sections": []})", "info"},
      {std::string(100000, '['), "nested deeper"},
      {table_of(R"("a")"), "section \"a\": expected a name"},
      {table_of("[]"), "section []: expected a name"},
      {table_of(R"(["a", -8, )" + zero + "]"), "expected a name"},
      {table_of(R"(["a", 8.0, )" + zero + "]"), "expected a name"},
      {table_of(R"(["a", 99999999999999999999, )" + zero + "]"), "expected a name"},
      {table_of(R"(["a", 8, "000000000000000"])"), "expected a name"},
      {table_of(R"(["a", 8, "000000000000000g"])"), "expected a name"},
      {table_of(R"(["a", 8, "-00000000000000f"])"), "expected a name"},
      {table_of(R"([7, 8, )" + zero + "]"), "expected a name"},
      {table_of(R"(["a", 129, )" + zero + "]"), "section 'a': 129 bytes at 64, expected to end by 192"},
      {table_of(R"(["a", )" + most + ", " + zero + "]"), "section 'a': 18446744073709551615 bytes"},
      {table_of(a8 + R"(, ["b", 65, )" + zero + "]"), "section 'b': 65 bytes at 128, expected to end by 192"},
      {table_of(a8 + R"(, ["b", 18446744073709551552, )" + zero + "]"), "section 'b': 18446744073709551552 bytes"},
      {table_of(a8 + ", " + a8), "section 'a' is there twice"},
      {table_of(a8), "the sections end at 128, expected 192"},
  };
  const TempDirectory directory;
  for (const auto& [table, expected] : cases) {
    SCOPED_TRACE(table.substr(0, 100));
    const std::string path = directory.write("bad.session", file_with_table(std::string(128, '\0'), table));
    expect_error([&] { SessionFile::open(path); }, path, expected);
  }
}

TEST(SessionFile, RefusesEveryFlippedBitAndEveryTruncation) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  write_file(path, sample_sections(), kInfo);
  const std::string good = read_bytes(path);
  Rng rng(5);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
    const std::string damaged = directory.write("bad.session", bytes);
    expect_error([&] { content_of(damaged); }, damaged);
    const std::string cut = directory.write("cut.session", good.substr(0, at));
    expect_error([&] { content_of(cut); }, cut);
  }
}

// Damage with checksums that are right again, so that the checks behind them are reached. What is still accepted must
// give sections inside the file, which a sanitiser sees.
TEST(SessionFile, SurvivesForgedTables) {
  const TempDirectory directory;
  const std::string path = directory.file("a.session");
  write_file(path, sample_sections(), kInfo);
  const std::string good = read_bytes(path);
  SessionFilePrefix prefix;
  std::memcpy(&prefix, good.data(), sizeof prefix);
  const std::string sections = good.substr(sizeof prefix, prefix.table_offset - sizeof prefix);
  const std::string table = good.substr(prefix.table_offset);
  Rng rng(4711);
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string forged = table;
    for (uint32_t edits = 1 + rng.below(3); edits > 0; --edits) {
      size_t at = rng.below(static_cast<uint32_t>(table.size()));
      const size_t digit = forged.find_first_of("0123456789", at);
      const bool keep_shape = rng.below(4) != 0 && digit != std::string::npos;
      if (keep_shape) at = digit;
      forged[at] = static_cast<char>(keep_shape ? '0' + rng.below(10) : rng.below(256));
      if (rng.below(20) == 0) forged.insert(at, forged.substr(rng.below(static_cast<uint32_t>(forged.size())), 20));
    }
    std::string body = sections;
    if (rng.below(8) == 0) body.resize(rng.below(600), '\0');
    const std::string bad = directory.write("bad.session", file_with_table(body, forged));
    try {
      content_of(bad);
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(accepted, 50) << "edits of the info are no damage";
  EXPECT_GT(refused, 2000);
}

}  // namespace
}  // namespace nibble
