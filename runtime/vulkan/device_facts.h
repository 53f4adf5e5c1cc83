// DeviceFacts: everything that a driver says about a device and that nibble's decisions depend on, as plain data, so
// that the decisions (device_plan.h) can be tested without a driver.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/vulkan/api.h"

namespace nibble::vulkan {

struct DeviceFacts {
  VkPhysicalDeviceProperties properties{};
  VkPhysicalDeviceMemoryProperties memory{};
  std::vector<VkQueueFamilyProperties> queue_families;
  std::vector<std::string> extensions;
  uint64_t memory_budget = 0;  // of the largest device-local heap; 0 = the driver does not tell

  std::array<uint8_t, VK_UUID_SIZE> device_uuid{};
  VkDriverId driver_id = VkDriverId{};  // 0 = the driver does not tell
  std::string driver_name;
  std::string driver_info;
  std::string pci_address;

  uint64_t max_allocation = 0;
  uint64_t host_import_alignment = 0;  // of imported memory's address and size; 0 = it cannot be imported
  uint32_t subgroup_size = 0;
  uint32_t smallest_subgroup = 0;  // that a kernel can ask for; 0 = it cannot
  uint32_t largest_subgroup = 0;
  VkShaderStageFlags subgroup_stages = 0;
  VkSubgroupFeatureFlags subgroup_operations = 0;

  // Features, true only where the device has them.
  bool int8_dot = false;
  bool int8_dot_accelerated = false;  // four signed bytes by four, by an instruction
  bool subgroup_size_control = false;
  bool matrix_units = false;   // what matrix_units.h says, with the features that it needs
  bool texel_formats = false;  // uniform texel buffers of every ElementType

  bool has_extension(std::string_view name) const;
};

// The format of a texel buffer whose elements are of that type.
VkFormat texel_format(ElementType type);

// Asks the driver. The device must have been enumerated from a living instance.
DeviceFacts read_device_facts(VkPhysicalDevice device);

}  // namespace nibble::vulkan
