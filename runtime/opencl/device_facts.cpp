#include "runtime/opencl/device_facts.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <sstream>

#include <fmt/format.h>

namespace nibble::opencl {
namespace {

// Bytes of kernel arguments kept for the params struct; the rest holds pointers of 8 bytes.
constexpr uint64_t kParamsBytes = 128;
// More bindings than any kernel cuts its slabs into; 4352 bytes of arguments (NVIDIA) would allow hundreds.
constexpr uint64_t kMostBindings = 64;
// Of the host's free RAM, what a driver that runs there may plan with: the rest is for the program and its files.
constexpr double kHostShare = 0.9;

uint32_t to_u32(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max()));
}

// "OpenCL 1.2 …" -> 102; 0 if the text is of another form.
int version_number(const std::string& version) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(version.c_str(), "OpenCL %d.%d", &major, &minor) != 2) return 0;
  return major * 100 + minor;
}

DeviceType type_of(const DeviceFacts& facts) {
  if (!unusable_reason(facts).empty()) return DeviceType::kNull;
  if (facts.is_cpu) return DeviceType::kSoftware;
  if (!facts.is_gpu) return DeviceType::kOther;
  return facts.host_unified_memory ? DeviceType::kIntegratedGpu : DeviceType::kDiscreteGpu;
}

DeviceLimits limits_of(const DeviceFacts& facts, uint64_t host_bytes) {
  DeviceLimits limits;
  limits.memory_bytes = facts.global_mem_size;
  if (facts.is_cpu && host_bytes != 0) {
    limits.memory_bytes =
        std::min(limits.memory_bytes, static_cast<uint64_t>(static_cast<double>(host_bytes) * kHostShare));
  }
  limits.max_allocation = std::min(facts.max_mem_alloc_size, limits.memory_bytes);
  limits.max_range = limits.max_allocation;
  const uint64_t pointer_bytes = facts.max_parameter_size - std::min(facts.max_parameter_size, kParamsBytes);
  limits.max_storage_bindings = to_u32(std::min(pointer_bytes / 8, kMostBindings));
  limits.offset_alignment = std::max(facts.mem_base_addr_align_bits / 8, 4u);
  limits.max_workgroup_size = to_u32(facts.max_work_group_size);
  if (!facts.max_work_item_sizes.empty()) {
    limits.max_workgroup_size = std::min(limits.max_workgroup_size, to_u32(facts.max_work_item_sizes[0]));
  }
  limits.max_workgroup_memory = to_u32(facts.local_mem_size);
  // OpenCL bounds the global size by size_t only; x is what fits a 32-bit index, y and z what hardware has.
  limits.max_workgroup_count = {0x7fffffffu, 65535, 65535};
  return limits;
}

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t b : bytes) text += fmt::format("{:02x}", b);
  return text;
}

// A capability means that kernels can use it. Kernel texts are compiled as OpenCL C 1.2, which has no words for
// subgroups and none in the kernel dialect for halves: such extensions are only noted.
void add_capabilities(DeviceInfo& info, const DeviceFacts& facts) {
  info.capabilities.add(Capability::kTimestamps);
  info.capabilities.add(Capability::kHostImport);  // CL_MEM_USE_HOST_PTR
  for (const std::string_view unused : {"cl_khr_fp16", "cl_khr_subgroups"}) {
    if (has_extension(facts, unused)) info.notes.push_back(fmt::format("has {}, which no kernel uses", unused));
  }
}

}  // namespace

bool has_extension(const DeviceFacts& facts, std::string_view extension) {
  std::istringstream words(facts.extensions);
  for (std::string word; words >> word;) {
    if (word == extension) return true;
  }
  return false;
}

std::string unusable_reason(const DeviceFacts& facts) {
  if (version_number(facts.version) < 102) return fmt::format("'{}' is older than OpenCL 1.2", facts.version);
  if (facts.profile != "FULL_PROFILE") return fmt::format("profile is {}, needed is FULL_PROFILE", facts.profile);
  if (!facts.compiler_available) return "the driver has no compiler";
  if (!facts.available) return "the driver says the device is not available";
  return "";
}

bool is_duplicate(const DeviceFacts& a, const DeviceFacts& b) {
  if (a.platform_index == b.platform_index) return false;
  if (a.platform_name != b.platform_name || a.platform_version != b.platform_version || a.name != b.name) return false;
  if (!a.uuid.empty() || !b.uuid.empty()) return a.uuid == b.uuid;
  return a.device_index == b.device_index;
}

std::string build_options(const DeviceFacts& facts) {
  std::string options = "-cl-std=CL1.2";
  // Oclgrind 21.10 interprets LLVM code and does not know the intrinsics that the optimiser makes of plain expressions:
  // "a > b ? a - b : 0" becomes llvm.usub.sat.i32, and the kernel cannot be created.
  if (facts.platform_name == "Oclgrind") options += " -cl-opt-disable";
  return options;
}

DeviceInfo make_device_info(const DeviceFacts& facts, size_t index, uint64_t host_bytes) {
  DeviceInfo info;
  info.id = fmt::format("opencl:{}", index);
  info.backend = BackendKind::kOpenCl;
  info.type = type_of(facts);
  info.name = facts.name;
  info.driver = facts.platform_name;
  info.driver_version = facts.driver_version;
  // "OpenCL 3.0 PoCL HSTR: …" -> "OpenCL 3.0"
  const size_t second_blank = facts.version.find(' ', facts.version.find(' ') + 1);
  info.api_version = facts.version.substr(0, second_blank);
  info.uuid = hex(facts.uuid);
  if (facts.pci) {
    const auto& [domain, bus, device, function] = *facts.pci;
    info.pci_address = fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
  }
  info.compute_units = facts.compute_units;
  info.limits = limits_of(facts, host_bytes);
  if (info.limits.memory_bytes < facts.global_mem_size) {
    info.notes.push_back(fmt::format("memory bounded by the host's free RAM: {} of {}",
                                     format_bytes(info.limits.memory_bytes), format_bytes(facts.global_mem_size)));
  }
  const std::string reason = unusable_reason(facts);
  if (reason.empty()) {
    add_capabilities(info, facts);
  } else {
    info.notes.push_back("not used: " + reason);
  }
  return info;
}

}  // namespace nibble::opencl
