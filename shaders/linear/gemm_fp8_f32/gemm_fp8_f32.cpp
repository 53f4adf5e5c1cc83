#include "runtime/core/kernel_table.h"
#include "shaders/linear/gemm/gemm_spec.h"

namespace nibble {

const KernelSpec& kernels::gemm_fp8_f32() {
  static const KernelSpec spec = gemm_spec<8>("gemm_fp8_f32",
                                              "y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c]; W [rows, cols] "
                                              "e4m3, scale e8m0 [ceil(·/128), ceil(cols/128)]");
  return spec;
}

}  // namespace nibble
