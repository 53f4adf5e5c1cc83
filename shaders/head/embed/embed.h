// Embedding rows, stored as bf16 (embed_bf16) or f32 (embed_f32).
#pragma once

#include <cstdint>

namespace nibble {

// x[t,c,:] = table[token(t),:] for every copy c, token(t) = step[tokens_at + t]; tokens outside [vocab_begin,
// vocab_end) are skipped. Bindings: table slabs u32 (bf16, 2 per word) or f32 (item = one row, numbered from
// vocab_begin), x f32 [T, copies, cols], step. cols is even.
struct EmbedParams {
  uint32_t cols = 0;
  uint32_t copies = 1;
  uint32_t tokens_at = 0;
  uint32_t vocab_begin = 0;
  uint32_t vocab_end = 0;
};

}  // namespace nibble
