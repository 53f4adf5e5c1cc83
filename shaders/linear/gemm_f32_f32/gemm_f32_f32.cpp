#include "runtime/core/kernel_table.h"
#include "shaders/linear/gemm/gemm_spec.h"

namespace nibble {

const KernelSpec& kernels::gemm_f32_f32() {
  static const KernelSpec spec =
      gemm_spec<32>("gemm_f32_f32", "y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c]; W [rows, cols] f32");
  return spec;
}

}  // namespace nibble
