#include "shaders/hyper/hc_pre_f32/hc_pre_f32_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::hc_pre_f32() {
  return {hc_pre_kernel("cpp", CpuIsa::kBaseline), hc_pre_f32_avx512()};
}

}  // namespace nibble
