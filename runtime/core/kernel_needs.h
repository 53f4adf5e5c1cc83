// What a kernel takes of a device, and whether the device has it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/core/device_info.h"
#include "runtime/core/kernel_spec.h"
#include "runtime/core/source_assembler.h"

namespace nibble {

struct KernelNeeds {
  uint32_t workgroup_size = 0;  // invocations
  uint32_t params_bytes = 0;
  uint32_t storage_bindings = 0;  // every slab counts, the step words too
  uint64_t workgroup_memory = 0;  // bytes; known once the kernel is compiled
};

// All but the workgroup memory.
KernelNeeds needs_of(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs);

// Throws kUnsupported naming the kernel, what it needs and what there is.
void require_fit(std::string_view kernel, const KernelNeeds& needs, const DeviceInfo& device);

}  // namespace nibble
