#include "runtime/core/kernel_table.h"
#include "shaders/experts/moe/moe_spec.h"

namespace nibble {

const KernelSpec& kernels::moe_up_fp8_f32() {
  static const KernelSpec spec = moe_up_spec<false>("moe_up_fp8_f32");
  return spec;
}

}  // namespace nibble
