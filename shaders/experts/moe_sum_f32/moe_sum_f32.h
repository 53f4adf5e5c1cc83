// The sum over a token's experts.
#pragma once

#include <cstdint>

namespace nibble {

// y[t,r] = Σ_k p[t,k,r], in order of k. Bindings: p f32 [T, k, rows], y f32 [T, rows], step.
struct MoeSumParams {
  uint32_t rows = 0;
  uint32_t k = 0;
};

}  // namespace nibble
