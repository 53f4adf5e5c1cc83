// Keeps the last rows of a chunk in a ring.
#pragma once

#include <cstdint>

namespace nibble {

// ring[(position + t) mod slots, :] = src[t, :] for the last min(n_tokens, slots) tokens t of the chunk.
// Bindings: src u32 [T, row_words], ring u32 [slots, row_words], step.
struct RingParams {
  uint32_t row_words = 0;
  uint32_t slots = 1;
};

}  // namespace nibble
