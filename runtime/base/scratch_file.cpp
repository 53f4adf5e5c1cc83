#include "runtime/base/scratch_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runtime/base/error.h"

namespace nibble {
namespace {

struct OpenFile {
  int fd = -1;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

ScratchFile::ScratchFile(const std::string& directory, uint64_t bytes) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  size_ = static_cast<size_t>((std::max<uint64_t>(bytes, 1) + page - 1) / page * page);
  // Not every file system has files without a name (O_TMPFILE): this one loses its name at once.
  std::string path = directory + "/nibble-XXXXXX";
  const OpenFile file{::mkostemp(path.data(), O_CLOEXEC)};
  if (file.fd < 0) {
    fail(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: no file can be made there: {}", directory,
         std::strerror(errno));
  }
  ::unlink(path.c_str());
  if (const int error = ::posix_fallocate(file.fd, 0, static_cast<off_t>(size_)); error != 0) {
    fail(ErrorCode::kIo, "{}: {} bytes cannot be reserved: {}", directory, size_, std::strerror(error));
  }
  void* const data = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) fail(ErrorCode::kIo, "{}: cannot map {} bytes: {}", directory, size_, std::strerror(errno));
  data_ = static_cast<std::byte*>(data);
  guard_ = GuardedMapping(data, size_, directory + " (an unnamed file of the KV cache)", true);
}

ScratchFile::~ScratchFile() {
  guard_ = GuardedMapping();  // before the addresses are someone else's
  ::munmap(data_, size_);
}

}  // namespace nibble
