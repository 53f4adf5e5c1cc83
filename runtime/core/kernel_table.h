// All kernels, by name.
#pragma once

#include <span>
#include <string_view>

#include "runtime/core/kernel_spec.h"

namespace nibble {

std::span<const KernelSpec* const> kernel_table();
// Throws kNotFound.
const KernelSpec& find_kernel(std::string_view name);

// Declares `const KernelSpec& kernels::<name>()`, defined in shaders/<name>/<name>.cpp.
namespace kernels {
#define NIBBLE_KERNEL(name) const KernelSpec& name();
#include "shaders/kernels.inc"
#undef NIBBLE_KERNEL
}  // namespace kernels

}  // namespace nibble
