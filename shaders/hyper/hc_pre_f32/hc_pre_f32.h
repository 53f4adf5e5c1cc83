// Hyper-connections, before a sub-layer: from the copies of the residual stream to the sub-layer's input.
#pragma once

#include <cstdint>

namespace nibble {

// m = (X·fnᵀ)·rsqrt(mean(X²) + norm_eps); pre = σ(m·scale₀ + base) + hc_eps; post = 2σ(m·scale₁ + base);
// comb = Sinkhorn(softmax rows(m·scale₂ + base)); x = RMSNorm(Σ_j pre_j·X_j; norm).
// Bindings: X f32 [T, C, D], fn f32 [2C + C², C·D], base f32 [2C + C²], scale f32 [3], norm f32 [D], x f32 [T, D],
// post f32 [T, C], comb f32 [T, C (source), C (target)], step.
struct HcPreParams {
  uint32_t cols = 0;    // D
  uint32_t copies = 0;  // C, at most kMaxHcCopies
  uint32_t sinkhorn_iters = 0;
  float norm_eps = 0;
  float hc_eps = 0;
};

inline constexpr uint32_t kMaxHcCopies = 8;

}  // namespace nibble
