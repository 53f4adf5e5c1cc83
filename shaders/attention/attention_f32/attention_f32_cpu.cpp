#include "shaders/attention/attention_f32/attention_f32_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::attention_f32() {
  std::vector<CpuKernel> kernels = {
      {.kernel = "attention_f32", .variant = "cpp", .items = attention_items, .run = attention_run},
      attention_f32_avx512()};
#if defined(__x86_64__)
  kernels.push_back(attention_f32_avx512_dot());
#endif
  return kernels;
}

}  // namespace nibble
