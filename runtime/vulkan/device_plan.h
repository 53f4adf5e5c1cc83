// DevicePlan: how nibble uses a Vulkan device; a pure function of what the driver says, the options and the host's RAM.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/device_info.h"
#include "runtime/device/open_device.h"
#include "runtime/vulkan/device_facts.h"

namespace nibble::vulkan {

struct DevicePlan {
  DeviceInfo info;
  std::string unusable;  // why the device cannot be opened; empty if it can

  uint32_t queue_family = 0;
  uint32_t device_memory_type = 0;  // of buffers
  uint32_t host_memory_type = 0;  // of staging, step words and indirect grids: visible and coherent, cached if possible
  bool device_memory_is_mapped = false;  // buffers have a host address: uploads and downloads are plain copies

  double seconds_per_tick = 0;          // of timestamps
  uint64_t timestamp_mask = 0;          // valid bits; 0 = no timestamps
  uint32_t max_allocations = 0;         // living VkDeviceMemory objects
  std::vector<std::string> extensions;  // to enable
  uint32_t subgroup_size = 0;           // that kernels with subgroups ask for; 0 = they do not ask
  bool keep_statistics = false;         // pipelines keep what the driver's compiler says about them (statistics.h)
  DeviceFacts facts;
};

// `host_memory` is the RAM that the host can still give (bytes), the budget of software drivers.
DevicePlan plan_device(const DeviceFacts& facts, const DeviceOptions& options, uint64_t host_memory);

// Same driver and same device: the second is a duplicate.
bool same_device(const DeviceFacts& a, const DeviceFacts& b);

// A type among `allowed` (bits) with all of `required`, if possible with all of `preferred`; among equals the one with
// the largest heap, then the first (drivers sort types by speed).
std::optional<uint32_t> find_memory_type(const VkPhysicalDeviceMemoryProperties& memory, VkMemoryPropertyFlags required,
                                         VkMemoryPropertyFlags preferred, uint32_t allowed = UINT32_MAX);

}  // namespace nibble::vulkan
