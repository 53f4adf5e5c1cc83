// What OpenCL tells of a device, and what nibble makes of it: pure functions, tested without a driver.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/device_info.h"

namespace nibble::opencl {

struct DeviceFacts {
  std::string platform_name;
  std::string platform_version;
  uint32_t platform_index = 0;  // in the loader's list
  uint32_t device_index = 0;    // in the platform's list
  std::string name;
  std::string version;  // CL_DEVICE_VERSION, "OpenCL 3.0 …"
  std::string driver_version;
  std::string profile;     // "FULL_PROFILE"
  std::string extensions;  // separated by blanks
  bool is_cpu = false;     // of CL_DEVICE_TYPE; a simulator may be several at once
  bool is_gpu = false;
  bool host_unified_memory = false;
  bool available = true;
  bool compiler_available = true;
  uint64_t max_mem_alloc_size = 0;
  uint64_t global_mem_size = 0;
  uint64_t local_mem_size = 0;
  uint64_t max_parameter_size = 0;
  uint64_t max_work_group_size = 0;
  std::vector<uint64_t> max_work_item_sizes;
  uint32_t mem_base_addr_align_bits = 0;
  uint32_t compute_units = 0;
  std::vector<uint8_t> uuid = {};                             // cl_khr_device_uuid
  std::optional<std::array<uint32_t, 4>> pci = std::nullopt;  // cl_khr_pci_bus_info: domain, bus, device, function
};

bool has_extension(const DeviceFacts& facts, std::string_view extension);

// Why nibble cannot run on the device; "" if it can.
std::string unusable_reason(const DeviceFacts& facts);

// True when both are one device that two entries of the loader's list lead to (a driver registered twice). Devices of
// one platform are never duplicates: two equal cards without a UUID look the same.
bool is_duplicate(const DeviceFacts& a, const DeviceFacts& b);

// -cl-std=CL1.2 without the fast-math switches, which change results (the dialect forbids contraction itself), and what
// a driver's defects need beside it.
std::string build_options(const DeviceFacts& facts);

// `host_bytes`: RAM the host can still give, 0 if unknown; bounds drivers that run on the host's processor.
DeviceInfo make_device_info(const DeviceFacts& facts, size_t index, uint64_t host_bytes);

}  // namespace nibble::opencl
