#include "runtime/base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "runtime/base/error.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as Linux has it

void require_replaceable(const std::string& path, const struct stat& status, std::string_view magic) {
  if (S_ISDIR(status.st_mode)) fail(ErrorCode::kUsage, "{}: a directory, expected the name of a file", path);
  if (::access(path.c_str(), W_OK) != 0) {
    fail(ErrorCode::kIo, "{}: cannot be written: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode) || status.st_size == 0 || magic.empty()) return;
  std::string beginning(magic.size(), '\0');
  std::ifstream(path, std::ios::binary).read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  if (beginning == magic) return;
  fail(ErrorCode::kUsage, "{}: there is a file of another kind; it is not replaced: name another, or remove it", path);
}

}  // namespace

std::string follow_links(const std::string& path) {
  fs::path at = path;
  std::error_code error;
  for (int i = 0; i < kMostLinks && fs::is_symlink(at, error); ++i) {
    const fs::path target = fs::read_symlink(at, error);
    if (error) break;
    at = target.is_absolute() ? target : at.parent_path() / target;
  }
  return at.string();
}

OutputFile::OutputFile(const std::string& path, std::string_view magic) : path_(follow_links(path)) {
  struct stat status = {};
  const bool is_there = ::stat(path_.c_str(), &status) == 0;
  if (is_there) require_replaceable(path_, status, magic);
  if (is_there && !S_ISREG(status.st_mode)) {
    file_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  } else {
    partial_ = fmt::format("{}.{}.partial", path_, ::getpid());
    file_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (file_ < 0) {
    const int error = errno;
    partial_.clear();
    errno = error;
    fail_io("cannot be created");
  }
  // The file that is replaced hands its permissions down.
  if (is_there && !partial_.empty()) (void)::fchmod(file_, status.st_mode & 0777);
}

OutputFile::~OutputFile() {
  if (file_ < 0) return;
  if (!partial_.empty()) ::unlink(partial_.c_str());
  ::close(file_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(file_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_io("cannot be written");
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void OutputFile::finish() {
  if (partial_.empty()) {
    if (::close(std::exchange(file_, -1)) != 0) fail_io("cannot be written");
    return;
  }
  if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_io("cannot be renamed to");
  partial_.clear();
  if (::close(std::exchange(file_, -1)) != 0) fail_io("cannot be written");
}

void OutputFile::fail_io(std::string_view action) const {
  fail(ErrorCode::kIo, "{}: {}: {}", path_, action, std::strerror(errno));
}

void write_output(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.finish();
}

void require_output(const std::string& path, const std::vector<fs::path>& inputs, std::string_view magic) {
  std::error_code ignored;
  const fs::path target = follow_links(path);
  const bool is_there = fs::exists(target, ignored);
  for (const fs::path& input : inputs) {
    const bool is_input = fs::equivalent(target, input, ignored);
    const fs::path parent = target.parent_path().empty() ? "." : target.parent_path();
    const bool is_inside = is_there && fs::is_directory(input, ignored) && fs::equivalent(parent, input, ignored);
    if (!is_input && !is_inside) continue;
    fail(ErrorCode::kUsage, "{}: the work reads this file; its result needs another", path);
  }
  if (is_there && !fs::is_regular_file(target, ignored) && !fs::is_directory(target, ignored)) return;
  OutputFile(path, magic);
}

}  // namespace nibble
