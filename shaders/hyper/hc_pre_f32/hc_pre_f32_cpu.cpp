#include "shaders/hyper/hc_pre_f32/hc_pre_f32_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::hc_pre_f32() {
  return {{.kernel = "hc_pre_f32", .variant = "cpp", .items = hc_pre_items, .run = hc_pre_run}, hc_pre_f32_avx512()};
}

}  // namespace nibble
