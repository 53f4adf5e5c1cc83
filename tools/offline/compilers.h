// One function per vendor: compiles kernels for several targets of that vendor and collects what its compiler says.
// A compiler that is not installed is a report with `missing` set, never an error.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/offline/report.h"

namespace nibble::offline {

// AMD, by RADV's null device, which a variable of the environment picks for a whole process: runs
// `nibble offline --this-process` once per target.
Report compile_for_amd(const Target& target, const std::string& pattern, bool wide_cpu);
// That one process: the first Vulkan device that tells statistics.
Report compile_in_this_process(const Target& target, std::span<const KernelChoice> choices);

// NVIDIA: OpenCL C -> PTX (clang-14, libclc) -> machine code (ptxas).
std::vector<Report> compile_for_nvidia(std::span<const Target* const> targets, std::span<const KernelChoice> choices);

// Intel: OpenCL C -> machine code (ocloc).
Report compile_for_intel(const Target& target, std::span<const KernelChoice> choices);

// The OpenCL C of a variant with one slab per slab binding; empty for a variant written in GLSL only.
std::string opencl_source(const KernelChoice& choice);

// The number right behind or before the first `label`, 0 where there is none: "Used 40" has 40 after "Used ".
int64_t number_after(std::string_view text, std::string_view label);
int64_t number_before(std::string_view text, std::string_view label);

}  // namespace nibble::offline
