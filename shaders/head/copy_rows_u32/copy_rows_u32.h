// Picks the rows of a chunk that logits are wanted for.
#pragma once

#include <cstdint>

namespace nibble {

// dst[i, :] = src[logits_first + i, :] for i < n_logits. Bindings: src u32 [T, row_words], dst u32 [L, row_words],
// step.
struct CopyRowsParams {
  uint32_t row_words = 0;
};

}  // namespace nibble
