#include "shaders/head/embed/embed_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::embed_bf16() {
  return {{"embed_bf16", "cpp", CpuIsa::kBaseline, embed_cpu_items, embed_cpu_run<true>}};
}

}  // namespace nibble
