// The gated activation of a dense expert.
#pragma once

#include <cstdint>

namespace nibble {

// h[t,i] = silu(min(g[t,i], limit))·clamp(u[t,i], ±limit). Bindings: g, u, h f32 [T, cols], step.
struct SwigluParams {
  uint32_t cols = 0;
  float limit = 0;
};

}  // namespace nibble
