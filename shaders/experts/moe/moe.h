// Routed experts, stored as e2m1 with a scale per 32 columns (moe_*_fp4_f32) or as e4m3 with a scale per 128x128 block
// (moe_*_fp8_f32). A slab binding's item is one expert's matrix or scales; items count from expert_begin.
#pragma once

#include <cstdint>

namespace nibble {

// h[t,k,i] = silu(min(g, limit))·clamp(u, ±limit)·weights[t,k], g = w1[e]·x[t], u = w3[e]·x[t], e = ids[t,k], for the
// pairs with expert_begin <= e < expert_end; others are left as they are.
// Bindings: x f32 [T, cols], ids u32 [T, k], weights f32 [T, k], w1, s1, w3, s3 slabs (item [rows, cols]),
// h f32 [T, k, rows], tiles (below), step.
struct MoeUpParams {
  uint32_t rows = 0;  // width of an expert
  uint32_t cols = 0;  // hidden size
  uint32_t k = 0;     // experts per token
  uint32_t expert_begin = 0;
  uint32_t expert_end = 0;
  float limit = 0;
  uint32_t x_kind = 0;    // XKind, of x
  uint32_t experts = 0;   // of the layer
  uint32_t order_at = 0;  // MoeTilesParams::order_at
};

// y[t,r] (+)= Σ_k w2[e]·h[t,k], e = ids[t,k], over the k with expert_begin <= e < expert_end.
// Bindings: h f32 [T, k, cols], ids u32 [T, k], w2, s2 slabs (item [rows, cols]), y f32 [T, rows], step.
struct MoeDownParams {
  uint32_t rows = 0;  // hidden size
  uint32_t cols = 0;  // width of an expert
  uint32_t k = 0;
  uint32_t expert_begin = 0;
  uint32_t expert_end = 0;
  uint32_t accumulate = 0;  // 1 adds to y
  uint32_t x_kind = 0;      // XKind, of h
};

// p[t,k,r] = w2[e]·h[t,k], e = ids[t,k], for the pairs with expert_begin <= e < expert_end; others are left as they
// are. Bindings: h f32 [T, k, cols], w2, s2 slabs (item [rows, cols]), tiles, p f32 [T, k, rows], step.
struct MoePairsParams {
  uint32_t rows = 0;  // hidden size
  uint32_t cols = 0;  // width of an expert
  uint32_t k = 0;
  uint32_t expert_begin = 0;
  uint32_t expert_end = 0;
  uint32_t x_kind = 0;    // XKind, of h
  uint32_t experts = 0;   // of the layer
  uint32_t order_at = 0;  // MoeTilesParams::order_at
};

// The pairs (t, k) of a step sorted by expert, in tiles of at most kMoeTilePairs pairs of one expert each. Word 0 is
// the number of tiles; tile i stands at word 4 + 4·i: expert, first (index in the order), count, 0; from word
// `order_at` on stand the pairs t·k + j in ascending order of expert, then of pair. Bindings: ids u32 [T, k], tiles
// u32, step.
struct MoeTilesParams {
  uint32_t k = 0;
  uint32_t experts = 0;
  uint32_t order_at = 0;
};

inline constexpr uint32_t kMoeTilePairs = 64;
// Steps of at least so many tokens are grouped; variants that read `tiles` have requires_rows no smaller than this.
inline constexpr uint32_t kMoeTiledFrom = 8;

// For up to `pairs` pairs of `experts` experts.
constexpr uint32_t moe_order_at(uint32_t pairs, uint32_t experts) {
  const uint32_t tiles = pairs / kMoeTilePairs + experts;
  return 4 + 4 * (tiles < pairs ? tiles : pairs);
}
// Words of `tiles`: behind the order a count per expert, which the kernel works with.
constexpr uint32_t moe_tiles_words(uint32_t pairs, uint32_t experts) {
  return moe_order_at(pairs, experts) + pairs + experts;
}

}  // namespace nibble
