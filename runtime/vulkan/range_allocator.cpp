#include "runtime/vulkan/range_allocator.h"

#include <iterator>

namespace nibble::vulkan {

std::optional<uint64_t> RangeAllocator::allocate(uint64_t bytes, uint64_t alignment) {
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    const auto [begin, length] = *it;
    const uint64_t offset = (begin + alignment - 1) / alignment * alignment;
    const uint64_t end = begin + length;
    if (offset > end || end - offset < bytes) continue;
    free_.erase(it);
    if (offset > begin) free_[begin] = offset - begin;
    if (offset + bytes < end) free_[offset + bytes] = end - offset - bytes;
    return offset;
  }
  return std::nullopt;
}

void RangeAllocator::release(uint64_t offset, uint64_t bytes) {
  auto it = free_.emplace(offset, bytes).first;
  const auto after = std::next(it);
  if (after != free_.end() && it->first + it->second == after->first) {
    it->second += after->second;
    free_.erase(after);
  }
  if (it == free_.begin()) return;
  const auto before = std::prev(it);
  if (before->first + before->second != it->first) return;
  before->second += it->second;
  free_.erase(it);
}

}  // namespace nibble::vulkan
