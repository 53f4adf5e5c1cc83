// The container of a saved session: named sections of raw bytes and a JSON object that says what they mean. Every byte
// of the file is covered by a checksum, so damage is found before anything is used. Layout: docs/sessions.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/checkpoint/mapped_file.h"

namespace nibble {

class SessionFileHash;

// Writes a new file in place of `path`, which stays as it is until finish(): the bytes go to `path`.partial in the same
// directory, which is synchronised and then renamed. A writer that is destroyed before removes the partial file; one
// that was killed leaves it, and the next writer for the same path starts it over. One thread at a time.
class SessionFileWriter {
 public:
  // Throws kIo, or kUsage where `path` is something else than a session or another process is writing it. A link stays
  // one: what it names is replaced.
  // `between_pieces` is called every few megabytes; what it throws ends the writing, as destroying the writer does.
  explicit SessionFileWriter(std::string path, std::function<void()> between_pieces = {});
  ~SessionFileWriter();
  SessionFileWriter(const SessionFileWriter&) = delete;
  SessionFileWriter& operator=(const SessionFileWriter&) = delete;

  // What write() appends from now on belongs to the section `name`, which is new.
  void begin_section(std::string_view name);
  void write(std::span<const std::byte> bytes);
  // Makes the file appear at its path, complete and on disk.
  void finish(const nlohmann::json& info);

 private:
  struct Section {
    std::string name;
    uint64_t bytes = 0;
    uint64_t checksum = 0;
  };

  void open_partial();
  void write_back(uint64_t from, uint64_t bytes, unsigned flags) const;
  void flush();
  void append(std::span<const std::byte> bytes);
  void pad();
  void end_section();
  [[noreturn]] void fail_io(std::string_view action) const;

  std::string path_;
  std::string partial_;
  std::function<void()> between_pieces_;
  int file_ = -1;
  uint64_t written_ = 0;     // bytes appended so far
  uint64_t flushed_ = 0;     // of those, bytes that the kernel was told to start writing to disk
  bool in_section_ = false;  // the last of sections_ still grows
  std::vector<Section> sections_;
  std::unique_ptr<SessionFileHash> hash_;  // of the section that grows
};

// A file as it was written: opening checks all but the sections' own bytes, verify() those. Immutable, movable; any
// thread may read. A file that shrinks while it is mapped ends the process (see MappedFile).
class SessionFile {
 public:
  // Errors are one line: file, section, what was found and what was expected. Throws kNotFound, kInvalidFile,
  // kUnsupported (another version of the format) or kIo.
  static SessionFile open(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t file_bytes() const { return file_.bytes().size(); }
  const nlohmann::json& info() const { return info_; }
  bool has(std::string_view name) const { return sections_.contains(name); }
  // 0 when there is no such section.
  uint64_t section_bytes(std::string_view name) const;

  // Reads the whole file once and compares every section with its checksum. Throws kInvalidFile, and what
  // `between_pieces` throws, which is called every few megabytes.
  void verify(const std::function<void()>& between_pieces = {});
  // Only after verify(). Throws kInvalidFile when there is no such section or its size is another.
  std::span<const std::byte> section(std::string_view name, uint64_t bytes) const;

 private:
  struct Section {
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint64_t checksum = 0;
  };

  SessionFile(std::string path, MappedFile file) : path_(std::move(path)), file_(std::move(file)) {}
  void read_table(std::string_view text, uint64_t sections_end);

  std::string path_;
  MappedFile file_;
  nlohmann::json info_;
  std::map<std::string, Section, std::less<>> sections_;
  bool verified_ = false;
};

}  // namespace nibble
