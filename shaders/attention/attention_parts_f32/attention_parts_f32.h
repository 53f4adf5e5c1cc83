// Attention over parts of a token's entries, for devices that one token's heads would leave empty;
// attention_join_f32 makes the output of it.
#pragma once

#include "shaders/attention/attention_f32/attention_f32.h"

namespace nibble {

// Entries of token t, window first, are cut into `parts` of equal length, a multiple of kAttentionPartEntries; the last
// ones may be short or empty. Part i with largest score m_i (scores are q[t,h]·entry/√dim):
//   sums[t,h,i] = Σ_e exp(score_e − m_i)·entry_e, total_i = Σ_e exp(score_e − m_i), both over its entries.
// Of a part without entries total is 0, the sums are not written and largest is any finite number.
// Bindings: q, kv_new, ring, entries and ids as in attention_f32, parts f32 [T, heads, parts, dim],
// stats f32 [T, heads, parts, 2] (m_i, total_i), step.
struct AttentionPartsParams {
  AttentionParams attention;  // rope_at and coarse are not used
  uint32_t parts = 0;
};

inline constexpr uint32_t kAttentionPartEntries = 16;
inline constexpr uint32_t kAttentionMaxParts = 64;

}  // namespace nibble
