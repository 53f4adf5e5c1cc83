#include "shaders/hyper/hc_post_f32/hc_post_f32_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::hc_post_f32() {
  return {{.kernel = "hc_post_f32", .variant = "cpp", .items = hc_post_items, .run = hc_post_run},
          hc_post_f32_avx512()};
}

}  // namespace nibble
