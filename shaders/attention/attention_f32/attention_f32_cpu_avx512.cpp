#include "shaders/attention/attention_f32/attention_f32_cpu.h"

namespace nibble {

CpuKernel attention_f32_avx512() {
  return {.kernel = "attention_f32",
          .variant = "avx512",
          .isa = CpuIsa::kAvx512,
          .items = attention_items,
          .run = attention_run};
}

}  // namespace nibble
