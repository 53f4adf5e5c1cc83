// The greedy choice of a token.
#pragma once

#include <cstdint>

namespace nibble {

// ids[i] = index of the largest of logits[i, :] (ties: lower index), i < n_logits.
// Bindings: logits f32 [L, cols], ids u32 [L], step.
struct ArgmaxParams {
  uint32_t cols = 0;
};

}  // namespace nibble
