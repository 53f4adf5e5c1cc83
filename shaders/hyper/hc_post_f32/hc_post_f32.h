// Hyper-connections, after a sub-layer: its output enters the copies of the residual stream.
#pragma once

#include <cstdint>

namespace nibble {

// X[t,k,:] = post[t,k]·f[t,:] + Σ_j comb[t,j,k]·X[t,j,:], in place.
// Bindings: f f32 [T, D], post f32 [T, C], comb f32 [T, C (source j), C (target k)], X f32 [T, C, D], step.
struct HcPostParams {
  uint32_t cols = 0;    // D
  uint32_t copies = 0;  // C, at most 8
};

}  // namespace nibble
