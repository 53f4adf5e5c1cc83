// Hyper-connections, before the output head: the copies of the residual stream become one normalised row.
#pragma once

#include <cstdint>

namespace nibble {

// y[i] = RMSNorm(Σ_j pre_j·X[t,j]; norm), pre = σ(m·scale + base) + hc_eps, m = (X·fnᵀ)·rsqrt(mean(X²) + norm_eps),
// t = logits_first + i for i < n_logits.
// Bindings: X f32 [T, C, D], fn f32 [C, C·D], base f32 [C], scale f32 [1], norm f32 [D], y f32 [L, D], step.
struct HcHeadParams {
  uint32_t cols = 0;    // D
  uint32_t copies = 0;  // C, at most 8
  float norm_eps = 0;
  float hc_eps = 0;
};

}  // namespace nibble
