#include "shaders/hyper/hc_post_f32/hc_post_f32_cpu.h"

namespace nibble {

CpuKernel hc_post_f32_avx512() {
  return {
      .kernel = "hc_post_f32", .variant = "avx512", .isa = CpuIsa::kAvx512, .items = hc_post_items, .run = hc_post_run};
}

}  // namespace nibble
