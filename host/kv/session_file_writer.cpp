#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "host/kv/session_file.h"
#include "host/kv/session_file_format.h"
#include "runtime/base/error.h"
#include "runtime/base/output_file.h"

namespace nibble {
namespace {

// The disk writes while the device still gives: the kernel is told after so many bytes. Left alone, it would begin when
// a tenth of the memory is dirty, and fsync, which nothing can interrupt, would wait for that at the end.
constexpr uint64_t kFlushBytes = uint64_t{32} << 20;

using Beginning = std::array<char, sizeof(SessionFilePrefix::magic)>;

bool is_session(const Beginning& bytes) { return bytes == SessionFilePrefix().magic; }

// A file that is there is replaced only where nothing but a session is lost with it.
void require_replaceable(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || (S_ISREG(status.st_mode) && status.st_size == 0)) return;
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorCode::kUsage, "{}: not a regular file, a session is not saved over it", path);
  }
  Beginning bytes = {};
  std::ifstream(path, std::ios::binary).read(bytes.data(), bytes.size());
  if (is_session(bytes)) return;
  fail(ErrorCode::kUsage,
       "{}: there is a file that is no saved session; it is not replaced: name another, or remove it", path);
}

std::string parent_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

SessionFileWriter::SessionFileWriter(std::string path, std::function<void()> between_pieces)
    : path_(follow_links(path)),
      partial_(path_ + ".partial"),
      between_pieces_(std::move(between_pieces)),
      hash_(std::make_unique<SessionFileHash>()) {
  require_replaceable(path_);
  open_partial();
  const std::array<std::byte, sizeof(SessionFilePrefix)> none = {};
  try {
    append(none);
  } catch (...) {
    ::unlink(partial_.c_str());
    ::close(file_);
    throw;
  }
}

SessionFileWriter::~SessionFileWriter() {
  if (file_ < 0) return;
  ::unlink(partial_.c_str());
  ::close(file_);
}

// The name is always the same, so a killed writer's file does not stay beside the next one's; the lock keeps two
// writers apart. A file that was locked after its writer had renamed it is no longer the one of that name.
void SessionFileWriter::open_partial() {
  for (;;) {
    const int file = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (file < 0) fail_io("cannot be created");
    struct stat opened = {};
    struct stat named = {};
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(file);
      if (error == EWOULDBLOCK) fail(ErrorCode::kUsage, "{}: another process is saving to it", path_);
      errno = error;
      fail_io("cannot be locked");
    }
    const bool current = ::fstat(file, &opened) == 0 && ::lstat(partial_.c_str(), &named) == 0 &&
                         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
    if (!current) {
      ::close(file);
      continue;
    }
    file_ = file;
    // What a killed writer left begins with zeros. Anything else belongs to somebody.
    Beginning bytes = {};
    const bool ours = S_ISREG(opened.st_mode) && ::pread(file, bytes.data(), bytes.size(), 0) >= 0 &&
                      (bytes == Beginning{} || is_session(bytes));
    if (!ours || ::ftruncate(file, 0) != 0) {
      ::close(std::exchange(file_, -1));
      fail(ErrorCode::kIo, "{}: cannot be used to save a session: it is not what a save that was killed leaves",
           partial_);
    }
    // The file that is replaced hands its permissions down.
    if (::stat(path_.c_str(), &named) == 0) (void)::fchmod(file, named.st_mode & 0777);
    return;
  }
}

void SessionFileWriter::begin_section(std::string_view name) {
  end_section();
  pad();
  sections_.push_back({.name = std::string(name)});
  hash_->reset();
  in_section_ = true;
}

void SessionFileWriter::write(std::span<const std::byte> bytes) {
  check(in_section_, "{}: bytes outside a section", path_);
  append(bytes);
  hash_->add(bytes);
  sections_.back().bytes += bytes.size();
}

void SessionFileWriter::finish(const nlohmann::json& info) {
  end_section();
  pad();
  nlohmann::json rows = nlohmann::json::array();
  for (const Section& s : sections_) rows.push_back({s.name, s.bytes, fmt::format("{:016x}", s.checksum)});
  const std::string table = nlohmann::json{{"info", info}, {"sections", std::move(rows)}}.dump();
  const auto table_bytes = std::as_bytes(std::span(table));
  SessionFilePrefix prefix = {
      .table_offset = written_, .table_bytes = table.size(), .table_checksum = session_file_checksum(table_bytes)};
  append(table_bytes);
  prefix.file_bytes = written_;
  const auto prefix_bytes = std::as_bytes(std::span(&prefix, 1));
  prefix.prefix_checksum = session_file_checksum(prefix_bytes.first(offsetof(SessionFilePrefix, prefix_checksum)));
  if (::pwrite(file_, &prefix, sizeof prefix, 0) != sizeof prefix) fail_io("cannot be written");
  flush();
  if (::fsync(file_) != 0) fail_io("cannot be written to disk");
  if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_io("cannot be renamed");
  ::close(std::exchange(file_, -1));
  // The rename is on disk when the directory is. Some file systems cannot do that; the file is whole either way.
  const int directory = ::open(parent_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  (void)::fsync(directory);
  ::close(directory);
}

void SessionFileWriter::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(file_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_io("cannot be written");
    written_ += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  if (written_ - flushed_ < kFlushBytes) return;
  flush();
}

void SessionFileWriter::write_back(uint64_t from, uint64_t bytes, unsigned flags) const {
  if (bytes == 0) return;  // which would mean all that follows
  (void)::sync_file_range(file_, static_cast<off64_t>(from), static_cast<off64_t>(bytes), flags);
}

// Starts the disk on what is new and waits for what it was given before, so that fsync finds little to wait for.
void SessionFileWriter::flush() {
  if (between_pieces_) between_pieces_();
  write_back(flushed_, written_ - flushed_, SYNC_FILE_RANGE_WRITE);
  write_back(0, flushed_, SYNC_FILE_RANGE_WAIT_BEFORE);
  flushed_ = written_;
}

void SessionFileWriter::pad() {
  const std::array<std::byte, kSectionAlignment> zeros = {};
  append(std::span(zeros).first((kSectionAlignment - written_ % kSectionAlignment) % kSectionAlignment));
}

void SessionFileWriter::end_section() {
  if (!in_section_) return;
  sections_.back().checksum = hash_->value();
  in_section_ = false;
}

void SessionFileWriter::fail_io(std::string_view action) const {
  const int error = errno;
  fail(ErrorCode::kIo, "{}: {}: {} ({} bytes written; {} is as it was)", partial_, action, std::strerror(error),
       written_, path_);
}

}  // namespace nibble
