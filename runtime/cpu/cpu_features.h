// What the host's processor can run, and the kernels written for it.
#pragma once

#include <span>
#include <string_view>

#include "runtime/core/device_info.h"
#include "runtime/cpu/cpu_kernel.h"

namespace nibble {

// The highest level all of whose instructions (and the operating system's support for their registers) are there.
CpuIsa detect_cpu_isa();
std::string_view name_of(CpuIsa isa);

// What a device with these capabilities may use: the highest level that is there with all before it.
CpuIsa cpu_isa_of(const CapabilitySet& capabilities);
// The capabilities that stand for a level and for all before it.
CapabilitySet capabilities_of(CpuIsa isa);

// Implementations of one kernel, simplest first; empty if there is none.
std::span<const CpuKernel> cpu_kernels_of(std::string_view kernel);

}  // namespace nibble
