#include "host/kv/kv_tiers.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/core/device_info.h"

namespace nibble {
namespace {

bool fits(uint64_t bytes, uint64_t taken, uint64_t limit) { return taken <= limit && bytes <= limit - taken; }

}  // namespace

KvTier KvTierPlanner::next(uint64_t bytes) {
  if (fits(bytes, taken_.device, limits_.device_bytes)) {
    taken_.device += bytes;
    return KvTier::kDevice;
  }
  if (fits(bytes, taken_.host, limits_.host_bytes)) {
    taken_.host += bytes;
    return KvTier::kHost;
  }
  (limits_.directory.empty() ? missing_ : taken_.file) += bytes;
  return KvTier::kFile;
}

std::vector<KvTier> KvTierPlanner::place(uint64_t bytes, uint64_t slab_bytes) {
  std::vector<KvTier> places;
  for (uint64_t done = 0; done < bytes; done += slab_bytes) places.push_back(next(std::min(slab_bytes, bytes - done)));
  return places;
}

void KvTierPlanner::require_fit() const {
  const bool device_is_full = taken_.device > limits_.device_bytes;
  if (missing_ == 0 && !device_is_full) return;
  if (device_is_full) {
    fail(ErrorCode::kOutOfMemory,
         "the KV cache keeps {} of window rings and open windows on the device, its limit there is {}",
         format_bytes(taken_.device), format_bytes(limits_.device_bytes));
  }
  fail(ErrorCode::kOutOfMemory,
       "the KV cache does not fit: {} too much for {} on the device and {} in the host's memory, and no directory was "
       "given for the rest",
       format_bytes(missing_), format_bytes(limits_.device_bytes), format_bytes(limits_.host_bytes));
}

}  // namespace nibble
