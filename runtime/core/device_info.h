// DeviceInfo: a plain snapshot of what a device is and can do. No driver is asked again after it was made, so all
// decisions (variants, slabs, budgets) are pure functions of it and can be tested without a device.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

enum class BackendKind { kCpu, kVulkan, kOpenCl };
std::string_view name_of(BackendKind kind);

enum class DeviceType { kDiscreteGpu, kIntegratedGpu, kVirtualGpu, kSoftware, kCpu, kNull, kOther };
std::string_view name_of(DeviceType type);

// Optional abilities. Each has a kill switch (--disable NAME,…), since that is how users bisect drivers.
enum class Capability : uint32_t {
  kSubgroups,     // subgroup arithmetic in compute shaders
  kInt8Dot,       // 4x8-bit integer dot product, on GPUs by an instruction
  kMatrixUnits,   // a subgroup of 32 multiplies 16x16 matrices of bf16, with sums in f32
  kTexelBuffers,  // storage read through uniform texel buffers
  kTimestamps,    // device timestamps
  kHostMemory,    // kernels read host memory in place (the cpu backend)
  kSubgroupSizeControl,
  kMappedMemory,  // the host reaches device memory in place: uploads and downloads are plain copies
  kHostImport,    // buffers can lie in memory that the host made, a mapped file's for example
  // Instruction sets of the cpu backend, each with all before it: without one, those after it are not used either.
  kAvx2,
  kAvx512,
  kAvx512Dot,
  kCount,
};
std::string_view name_of(Capability capability);
// Throws kUsage with the list of names for an unknown one.
Capability capability_from_name(std::string_view name);
// Whether some device of an API can have it: instruction sets are the cpu's, subgroups are not.
bool can_have(BackendKind kind, Capability capability);

class CapabilitySet {
 public:
  CapabilitySet() = default;
  constexpr CapabilitySet(std::initializer_list<Capability> list) {
    for (const Capability c : list) bits_ |= bit(c);
  }
  constexpr bool has(Capability c) const { return (bits_ & bit(c)) != 0; }
  constexpr bool covers(CapabilitySet needed) const { return (needed.bits_ & ~bits_) == 0; }
  constexpr void add(Capability c) { bits_ |= bit(c); }
  constexpr void remove(Capability c) { bits_ &= ~bit(c); }

 private:
  static constexpr uint32_t bit(Capability c) { return 1u << static_cast<uint32_t>(c); }
  uint32_t bits_ = 0;
};

struct DeviceLimits {
  uint64_t max_range = 0;             // bytes that one binding may cover
  uint64_t max_allocation = 0;        // bytes of one buffer
  uint64_t memory_bytes = 0;          // what nibble may plan with; for software drivers taken from the host's RAM
  uint32_t max_storage_bindings = 0;  // per dispatch
  uint32_t offset_alignment = 1;      // bytes; of a view's offset in its buffer
  uint32_t max_params_bytes = 128;    // push constants / kernel argument struct
  uint32_t max_workgroup_size = 0;    // invocations
  uint32_t max_workgroup_memory = 0;  // bytes
  std::array<uint32_t, 3> max_workgroup_count = {65535, 65535, 65535};
};

struct DeviceInfo {
  std::string id;  // "cpu", "vulkan:0", "opencl:1"
  BackendKind backend = BackendKind::kCpu;
  DeviceType type = DeviceType::kOther;
  std::string name;                // as the driver gives it
  std::string driver;              // driver's name, e.g. "llvmpipe", "Portable Computing Language"
  std::string driver_version;      // as text
  std::string api_version;         // "1.3.230", "OpenCL 3.0"
  std::string uuid;                // hex, lower case; empty if the API has none
  std::string pci_address;         // "0000:01:00.0"; empty if unknown
  uint32_t subgroup_size = 0;      // of kernels that use subgroups: the one asked for, or the driver's; 0 = unknown
  uint32_t smallest_subgroup = 0;  // sizes that a kernel can ask for, powers of two; 0 = it cannot
  uint32_t largest_subgroup = 0;
  uint32_t compute_units = 0;
  DeviceLimits limits;
  CapabilitySet capabilities;
  std::vector<std::string> notes;  // quirks in force, reasons for odd limits

  // A driver that runs kernels on the host's processor: few, fat invocations win there.
  bool is_wide_cpu() const { return type == DeviceType::kSoftware; }
};

// `--limit max_range=1MiB`: lowers one limit of `info`, never raises it. Keys are the names of DeviceLimits' fields;
// values as in parse_bytes. Throws kUsage on an unknown key or a bad number.
void apply_limit(DeviceInfo& info, std::string_view assignment);

// "1.5 GiB", "512 B".
std::string format_bytes(uint64_t bytes);
// "64MiB", "4096", "1.5 GiB", "24GB" -> bytes; KiB and K are 1024, KB is 1000, in any case. Throws kUsage naming
// `what`.
uint64_t parse_bytes(std::string_view text, std::string_view what);

}  // namespace nibble
