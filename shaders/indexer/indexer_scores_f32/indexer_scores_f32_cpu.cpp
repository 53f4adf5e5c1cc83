#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::indexer_scores_f32() {
  std::vector<CpuKernel> kernels = {
      {.kernel = "indexer_scores_f32", .variant = "cpp", .items = indexer_scores_items, .run = indexer_scores_run},
      indexer_scores_f32_avx512()};
#if defined(__x86_64__)
  kernels.push_back(indexer_scores_f32_avx512_dot());
#endif
  return kernels;
}

}  // namespace nibble
