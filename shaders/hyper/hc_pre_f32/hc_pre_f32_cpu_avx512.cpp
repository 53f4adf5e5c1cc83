#include "shaders/hyper/hc_pre_f32/hc_pre_f32_cpu.h"

namespace nibble {

CpuKernel hc_pre_f32_avx512() {
  return {
      .kernel = "hc_pre_f32", .variant = "avx512", .isa = CpuIsa::kAvx512, .items = hc_pre_items, .run = hc_pre_run};
}

}  // namespace nibble
