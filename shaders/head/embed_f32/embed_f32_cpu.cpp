#include "shaders/head/embed/embed_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::embed_f32() {
  return {{"embed_f32", "cpp", CpuIsa::kBaseline, embed_cpu_items, embed_cpu_run<false>}};
}

}  // namespace nibble
