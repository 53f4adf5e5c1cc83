// The best entries of each query.
#pragma once

#include <cstdint>

namespace nibble {

// ids[t] = n, then the indices of the n = min(k, visible) largest of scores[t − first_token, 0 .. visible), ascending;
// visible = (position + t + 1)/ratio, for at most max_tokens tokens t from first_token on. Ties go to the lower index,
// −0 equals +0, NaN ranks highest.
// Bindings: scores f32 [max_tokens, stride], ids u32 [T, k + 1], step.
struct TopkParams {
  uint32_t k = 0;
  uint32_t stride = 0;
  uint32_t ratio = 0;
  uint32_t first_token = 0;
  uint32_t max_tokens = UINT32_MAX;
};

}  // namespace nibble
