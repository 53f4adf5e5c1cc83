#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32_cpu.h"

namespace nibble {

CpuKernel indexer_scores_f32_avx512() {
  return {.kernel = "indexer_scores_f32",
          .variant = "avx512",
          .isa = CpuIsa::kAvx512,
          .items = indexer_scores_items,
          .run = indexer_scores_run};
}

}  // namespace nibble
