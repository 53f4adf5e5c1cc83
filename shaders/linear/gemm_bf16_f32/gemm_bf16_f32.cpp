#include "runtime/core/kernel_table.h"
#include "shaders/linear/gemm/gemm_spec.h"

namespace nibble {

const KernelSpec& kernels::gemm_bf16_f32() {
  static const KernelSpec spec =
      gemm_spec<16>("gemm_bf16_f32", "y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c]; W [rows, cols] bf16");
  return spec;
}

}  // namespace nibble
