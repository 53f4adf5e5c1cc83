// How well the compressed entries fit the queries, by the indexer.
#pragma once

#include <cstdint>

namespace nibble {

// scores[t − first_token, j] = Σ_h g[t,h]·g_scale·relu(q[t,h]·k[j]) for j < (position + t + 1)/ratio, for at most
// max_tokens tokens t from first_token on: the scores of a few tokens at a time bound the memory they take.
// Bindings: q u32 [T·heads, key_words], keys slabs u32 (item = key_words), g f32 [T, heads],
// scores f32 [max_tokens, stride], step. q and keys are in the format of common/kv_format.h.
struct IndexerScoresParams {
  uint32_t heads = 0;
  uint32_t dim = 0;
  uint32_t format = 0;
  uint32_t key_words = 0;
  uint32_t ratio = 0;
  uint32_t stride = 0;
  float g_scale = 0;
  uint32_t first_token = 0;
  uint32_t max_tokens = UINT32_MAX;
};

}  // namespace nibble
