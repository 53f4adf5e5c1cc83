// MappedFile: a read-only memory mapping of one regular file. Movable, unmapped by the destructor; the bytes stay where
// they are for its whole life, also across moves. Pages are shared with the page cache and read when first touched.
// A file that shrinks or whose disk fails while it is mapped: see runtime/base/mapping_guard.h.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "runtime/base/mapping_guard.h"

namespace nibble {

class MappedFile {
 public:
  // Throws kNotFound, kInvalidFile (not a regular file) or kIo.
  static MappedFile open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Tells the system that the bytes will be read once, from the first to the last, so that it reads far ahead. A hint.
  void will_read_in_order() const;

 private:
  MappedFile(const std::byte* data, size_t size, const std::string& path)
      : data_(data), size_(size), guard_(data, size, path) {}

  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  GuardedMapping guard_;
};

}  // namespace nibble
