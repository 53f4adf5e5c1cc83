#include "runtime/core/kernel_table.h"
#include "shaders/experts/moe/moe_spec.h"

namespace nibble {

const KernelSpec& kernels::moe_pairs_fp8_f32() {
  static const KernelSpec spec = moe_pairs_spec<false>("moe_pairs_fp8_f32");
  return spec;
}

}  // namespace nibble
