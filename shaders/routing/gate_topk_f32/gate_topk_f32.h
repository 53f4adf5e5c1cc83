// Routing: which experts a token goes to, and with what weights.
#pragma once

#include <cstdint>

namespace nibble {

// s = sqrt(softplus(logits)); ids = hash ? table[token(t),:] : the k largest of s + bias (ties: lower index), in
// descending order; weights = s[ids]/Σ s[ids]·scale; token(t) = step[tokens_at + t].
// Bindings: logits f32 [T, experts], bias f32 [experts] (any buffer with hash), table u32 [vocab, k] (any buffer
// without hash), ids u32 [T, k], weights f32 [T, k], step.
struct GateParams {
  uint32_t experts = 0;
  uint32_t k = 0;
  uint32_t hash = 0;
  uint32_t tokens_at = 0;
  float scale = 1;
};

}  // namespace nibble
