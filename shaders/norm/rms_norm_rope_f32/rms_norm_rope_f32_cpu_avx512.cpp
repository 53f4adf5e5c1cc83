#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32_cpu.h"

namespace nibble {

CpuKernel rms_norm_rope_f32_avx512() {
  return {.kernel = "rms_norm_rope_f32",
          .variant = "avx512",
          .isa = CpuIsa::kAvx512,
          .items = rms_norm_rope_items,
          .run = rms_norm_rope_run};
}

}  // namespace nibble
