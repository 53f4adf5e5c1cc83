#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::rms_norm_rope_f32() {
  return {{.kernel = "rms_norm_rope_f32", .variant = "cpp", .items = rms_norm_rope_items, .run = rms_norm_rope_run},
          rms_norm_rope_f32_avx512()};
}

}  // namespace nibble
