// Host memory that a device needs for copies to and from its own.
#pragma once

#include <cstdint>

#include "runtime/core/device_info.h"

namespace nibble {

// 4 MiB a half: long enough that a submission's ~20 us vanish, small enough for a 256 MiB host-visible heap.
inline constexpr uint64_t kStagingHalfBytes = uint64_t{4} << 20;

// What the backend itself takes: the Vulkan one's two halves where the host does not reach the memory in place. OpenCL
// drivers stage by themselves and do not say how.
inline uint64_t staging_bytes(const DeviceInfo& device) {
  const bool staged = device.backend == BackendKind::kVulkan && !device.capabilities.has(Capability::kMappedMemory);
  return staged ? 2 * kStagingHalfBytes : 0;
}

}  // namespace nibble
