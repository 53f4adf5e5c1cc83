#include "runtime/core/kernel_table.h"

#include "runtime/base/error.h"

namespace nibble {

std::span<const KernelSpec* const> kernel_table() {
  static const std::vector<const KernelSpec*> table = {
#define NIBBLE_KERNEL(name) &kernels::name(),
#include "shaders/kernels.inc"
#undef NIBBLE_KERNEL
  };
  return table;
}

const KernelSpec& find_kernel(std::string_view name) {
  for (const KernelSpec* kernel : kernel_table()) {
    if (kernel->name == name) return *kernel;
  }
  fail(ErrorCode::kNotFound, "there is no kernel '{}'", name);
}

}  // namespace nibble
