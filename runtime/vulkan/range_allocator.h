// RangeAllocator: hands out pieces of [0, size), first fit, and takes them back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace nibble::vulkan {

class RangeAllocator {
 public:
  explicit RangeAllocator(uint64_t size) : size_(size) { free_[0] = size; }

  // Offset of a free piece, a multiple of `alignment`; nothing if none is long enough.
  std::optional<uint64_t> allocate(uint64_t bytes, uint64_t alignment);
  // A piece exactly as it was allocated.
  void release(uint64_t offset, uint64_t bytes);
  bool is_empty() const { return free_.size() == 1 && free_.begin()->second == size_; }

 private:
  uint64_t size_;
  std::map<uint64_t, uint64_t> free_;  // offset -> bytes; neighbours are merged
};

}  // namespace nibble::vulkan
