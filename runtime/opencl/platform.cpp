#include "runtime/opencl/platform.h"

#include <algorithm>
#include <string>

#include <CL/cl_ext.h>

#include "runtime/base/error.h"
#include "runtime/opencl/cl_api.h"

namespace nibble::opencl {
namespace {

constexpr cl_int kPlatformNotFound = -1001;  // CL_PLATFORM_NOT_FOUND_KHR

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

std::string platform_text(cl_platform_id platform, cl_platform_info what) {
  size_t bytes = 0;
  check_cl(clGetPlatformInfo(platform, what, 0, nullptr, &bytes), "clGetPlatformInfo");
  std::string text(bytes, '\0');
  check_cl(clGetPlatformInfo(platform, what, bytes, text.data(), nullptr), "clGetPlatformInfo");
  return trimmed(std::move(text));
}

std::string device_text(cl_device_id device, cl_device_info what) {
  size_t bytes = 0;
  check_cl(clGetDeviceInfo(device, what, 0, nullptr, &bytes), "clGetDeviceInfo");
  std::string text(bytes, '\0');
  check_cl(clGetDeviceInfo(device, what, bytes, text.data(), nullptr), "clGetDeviceInfo");
  return trimmed(std::move(text));
}

template <typename T>
T device_value(cl_device_id device, cl_device_info what) {
  T value{};
  check_cl(clGetDeviceInfo(device, what, sizeof value, &value, nullptr), "clGetDeviceInfo");
  return value;
}

std::vector<uint64_t> work_item_sizes(cl_device_id device) {
  std::vector<size_t> sizes(device_value<cl_uint>(device, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS));
  check_cl(clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizes.size() * sizeof(size_t), sizes.data(), nullptr),
           "clGetDeviceInfo");
  return {sizes.begin(), sizes.end()};
}

// Identities come from extensions; a driver that names one but does not answer leaves the field empty.
void ask_identity(cl_device_id device, DeviceFacts& facts) {
  if (has_extension(facts, "cl_khr_device_uuid")) {
    std::vector<uint8_t> uuid(CL_UUID_SIZE_KHR);
    if (clGetDeviceInfo(device, CL_DEVICE_UUID_KHR, uuid.size(), uuid.data(), nullptr) == CL_SUCCESS) facts.uuid = uuid;
  }
  if (has_extension(facts, "cl_khr_pci_bus_info")) {
    cl_device_pci_bus_info_khr pci{};
    if (clGetDeviceInfo(device, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof pci, &pci, nullptr) == CL_SUCCESS) {
      facts.pci = {pci.pci_domain, pci.pci_bus, pci.pci_device, pci.pci_function};
    }
  }
}

DeviceFacts ask(cl_platform_id platform, cl_device_id device) {
  const auto type = device_value<cl_device_type>(device, CL_DEVICE_TYPE);
  DeviceFacts facts = {
      .platform_name = platform_text(platform, CL_PLATFORM_NAME),
      .platform_version = platform_text(platform, CL_PLATFORM_VERSION),
      .name = device_text(device, CL_DEVICE_NAME),
      .version = device_text(device, CL_DEVICE_VERSION),
      .driver_version = device_text(device, CL_DRIVER_VERSION),
      .profile = device_text(device, CL_DEVICE_PROFILE),
      .extensions = device_text(device, CL_DEVICE_EXTENSIONS),
      .is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0,
      .is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0,
      .host_unified_memory = device_value<cl_bool>(device, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0,
      .available = device_value<cl_bool>(device, CL_DEVICE_AVAILABLE) != 0,
      .compiler_available = device_value<cl_bool>(device, CL_DEVICE_COMPILER_AVAILABLE) != 0,
      .max_mem_alloc_size = device_value<cl_ulong>(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE),
      .global_mem_size = device_value<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE),
      .local_mem_size = device_value<cl_ulong>(device, CL_DEVICE_LOCAL_MEM_SIZE),
      .max_parameter_size = device_value<size_t>(device, CL_DEVICE_MAX_PARAMETER_SIZE),
      .max_work_group_size = device_value<size_t>(device, CL_DEVICE_MAX_WORK_GROUP_SIZE),
      .max_work_item_sizes = work_item_sizes(device),
      .mem_base_addr_align_bits = device_value<cl_uint>(device, CL_DEVICE_MEM_BASE_ADDR_ALIGN),
      .compute_units = device_value<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS),
  };
  ask_identity(device, facts);
  return facts;
}

std::vector<cl_platform_id> find_platforms() {
  cl_uint count = 0;
  const cl_int status = clGetPlatformIDs(0, nullptr, &count);
  if (status == kPlatformNotFound || (status == CL_SUCCESS && count == 0)) {
    fail(ErrorCode::kUnsupported, "OpenCL: no driver is installed (no *.icd file that the loader could use)");
  }
  check_cl(status, "clGetPlatformIDs");
  std::vector<cl_platform_id> platforms(count);
  check_cl(clGetPlatformIDs(count, platforms.data(), nullptr), "clGetPlatformIDs");
  return platforms;
}

// A platform without devices (a driver whose hardware is not there) is not an error.
std::vector<cl_device_id> devices_of(cl_platform_id platform) {
  cl_uint count = 0;
  if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS) return {};
  std::vector<cl_device_id> devices(count);
  check_cl(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr), "clGetDeviceIDs");
  return devices;
}

}  // namespace

std::vector<PlatformDevice> find_devices() {
  std::vector<PlatformDevice> found;
  const std::vector<cl_platform_id> platforms = find_platforms();
  for (uint32_t p = 0; p < platforms.size(); ++p) {
    const std::vector<cl_device_id> devices = devices_of(platforms[p]);
    for (uint32_t d = 0; d < devices.size(); ++d) {
      DeviceFacts facts = ask(platforms[p], devices[d]);
      facts.platform_index = p;
      facts.device_index = d;
      const bool known = std::any_of(found.begin(), found.end(),
                                     [&](const PlatformDevice& other) { return is_duplicate(other.facts, facts); });
      if (!known) found.push_back({.platform = platforms[p], .device = devices[d], .facts = std::move(facts)});
    }
  }
  return found;
}

}  // namespace nibble::opencl
