// The second half of attention over parts (attention_parts_f32).
#pragma once

#include <cstdint>

namespace nibble {

// o[t,h] = rope⁻¹(Σ_i w_i·parts[t,h,i] / (exp(sinks[h] − m) + Σ_i w_i·total_i)), w_i = exp(largest_i − m), m the
// largest of all largest_i and sinks[h]. Bindings: parts f32 [T, heads, parts, dim], stats f32 [T, heads, parts, 2]
// (largest, total), sinks f32 [heads], o f32 [T, heads, dim], step. The parts of a token and head whose total is 0 come
// last; their sums are not read.
struct AttentionJoinParams {
  uint32_t heads = 0;
  uint32_t dim = 0;
  uint32_t rope = 0;
  uint32_t rope_at = 0;  // step word of the table [T, rope]
  uint32_t parts = 0;
};

}  // namespace nibble
