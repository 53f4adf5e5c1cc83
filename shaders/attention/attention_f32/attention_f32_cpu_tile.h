// One token's heads against a tile of decoded entries: scores, online softmax, weighted sum. Heads are the lanes, V
// vectors of 16 at a time. Included only by per-ISA files.
#pragma once

#include "shaders/attention/attention_f32/attention_f32_cpu_entries.h"
#include "shaders/common/exp2_cpu.h"

namespace nibble {
namespace {

constexpr uint32_t kBlockHeads = 64;

// A token's heads. The sums are relative to 2^largest.
struct TokenState {
  alignas(64) uint32_t q[kMaxDims / 2][kBlockHeads];
  alignas(64) float sums[kMaxDims][kBlockHeads];  // by slot
  alignas(64) float largest[kBlockHeads];
  alignas(64) float total[kBlockHeads];
};

struct TileWork {
  alignas(64) float scores[kTileEntries][kBlockHeads];
  alignas(64) uint32_t weights[kTileEntries / 2][kBlockHeads];  // bf16 of two entries
  alignas(64) float keep[kBlockHeads];                          // what the softmax leaves of the sums before
};

inline __m512 add_products(__m512 sum, __m512i a, uint32_t pair) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)_mm512_set1_epi32(static_cast<int>(pair)));
}

// scores[e] = factor·q·entry_e for kScoreEntries entries from `first` on.
template <uint32_t V>
void score_entries(TileWork& work, const TokenState& token, const EntryTile& tile, uint32_t first, uint32_t steps,
                   float factor) {
  __m512 sums[kScoreEntries][V];
#pragma GCC unroll 8
  for (uint32_t e = 0; e < kScoreEntries; ++e) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < V; ++v) sums[e][v] = _mm512_setzero_ps();
  }
  for (uint32_t step = 0; step < steps; ++step) {
    __m512i q[V];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < V; ++v) q[v] = _mm512_load_si512(token.q[step] + v * 16);
#pragma GCC unroll 8
    for (uint32_t e = 0; e < kScoreEntries; ++e) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < V; ++v) sums[e][v] = add_products(sums[e][v], q[v], tile.rows[first + e][step]);
    }
  }
#pragma GCC unroll 8
  for (uint32_t e = 0; e < kScoreEntries; ++e) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < V; ++v) {
      _mm512_store_ps(work.scores[first + e] + v * 16, _mm512_mul_ps(sums[e][v], _mm512_set1_ps(factor)));
    }
  }
}

// Entries [begin, end) get weights; those before and after up to the next whole pairs [pairs_begin, pairs_end) zero.
template <uint32_t V>
void weigh_entries(TileWork& work, TokenState& token, uint32_t begin, uint32_t end, uint32_t pairs_begin,
                   uint32_t pairs_end) {
  alignas(64) uint16_t order[32];
  for (uint32_t i = 0; i < 32; ++i) order[i] = static_cast<uint16_t>(i / 2 + i % 2 * 16);
  const __m512i interleave = _mm512_load_si512(order);
  for (uint32_t at = 0; at < V * 16; at += 16) {
    const __m512 before = _mm512_load_ps(token.largest + at);
    __m512 largest = before;
    for (uint32_t e = begin; e < end; ++e) largest = _mm512_max_ps(largest, _mm512_load_ps(work.scores[e] + at));
    const __m512 keep = kept_of(before, largest);
    __m512 total = _mm512_mul_ps(_mm512_load_ps(token.total + at), keep);
    const auto weight = [&](uint32_t e) {
      if (e < begin || e >= end) return _mm512_setzero_ps();
      return exp2_of(_mm512_sub_ps(_mm512_load_ps(work.scores[e] + at), largest));
    };
    for (uint32_t i = pairs_begin; i < pairs_end; ++i) {
      const __m512 even = weight(2 * i);
      const __m512 odd = weight(2 * i + 1);
      total = _mm512_add_ps(total, _mm512_add_ps(even, odd));
      const __m512i words = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
      _mm512_store_si512(work.weights[i] + at, _mm512_permutexvar_epi16(interleave, words));
    }
    _mm512_store_ps(token.largest + at, largest);
    _mm512_store_ps(token.total + at, total);
    _mm512_store_ps(work.keep + at, keep);
  }
}

// sums = keep·sums + Σ weight_e·entry_e over whole pairs of entries.
template <uint32_t V>
void sum_entries(const TileWork& work, TokenState& token, const EntryTile& tile, uint32_t pairs_begin,
                 uint32_t pairs_end, uint32_t dim) {
  constexpr uint32_t kTogether = 4;  // slots
  for (uint32_t slot = 0; slot < dim; slot += kTogether) {
    const uint32_t(*pairs)[kSlots] = tile.pairs[slot / kSlots];
    __m512 sums[kTogether][V];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < V; ++v) {
      const __m512 keep = _mm512_load_ps(work.keep + v * 16);
#pragma GCC unroll 8
      for (uint32_t s = 0; s < kTogether; ++s) {
        sums[s][v] = _mm512_mul_ps(keep, _mm512_load_ps(token.sums[slot + s] + v * 16));
      }
    }
    for (uint32_t i = pairs_begin; i < pairs_end; ++i) {
      __m512i weights[V];
#pragma GCC unroll 8
      for (uint32_t v = 0; v < V; ++v) weights[v] = _mm512_load_si512(work.weights[i] + v * 16);
#pragma GCC unroll 8
      for (uint32_t s = 0; s < kTogether; ++s) {
#pragma GCC unroll 8
        for (uint32_t v = 0; v < V; ++v) sums[s][v] = add_products(sums[s][v], weights[v], pairs[i][slot % kSlots + s]);
      }
    }
#pragma GCC unroll 8
    for (uint32_t s = 0; s < kTogether; ++s) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < V; ++v) _mm512_store_ps(token.sums[slot + s] + v * 16, sums[s][v]);
    }
  }
}

// The token attends to entries [begin, end) of the tile. Scores are in units of ln 2.
template <uint32_t V>
void attend_decoded(TileWork& work, TokenState& token, const EntryTile& tile, uint32_t begin, uint32_t end,
                    uint32_t dim, float factor) {
  if (begin >= end) return;
  const uint32_t first = begin / kScoreEntries * kScoreEntries;
  for (uint32_t e = first; e < end; e += kScoreEntries) score_entries<V>(work, token, tile, e, dim / 2, factor);
  weigh_entries<V>(work, token, begin, end, begin / 2, (end + 1) / 2);
  sum_entries<V>(work, token, tile, begin / 2, (end + 1) / 2, dim);
}

using AttendDecoded = void (*)(TileWork&, TokenState&, const EntryTile&, uint32_t, uint32_t, uint32_t, float);
constexpr AttendDecoded kAttendDecoded[4] = {attend_decoded<1>, attend_decoded<2>, attend_decoded<3>,
                                             attend_decoded<4>};

}  // namespace
}  // namespace nibble
