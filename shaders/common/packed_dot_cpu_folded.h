// More than a few tokens of e2m1: four rows are decoded in registers, their scales folded in, for five tokens at a
// time, whose activations stay in the first cache. The limit is the arithmetic. Included only by per-ISA files.
#pragma once

#include "shaders/common/packed_dot_cpu_few.h"

namespace nibble {
namespace {

constexpr uint32_t kFoldedRows = 4;
// What a saturating subtraction takes from the exponents of values that are 2^kLift times too large: lanes 4b to 4b + 3
// take byte b of `four`.
inline __m512i e2m1_fold(uint32_t four) {
  const __m512i to_words =
      _mm512_setr_epi32(0x80008000, 0x80008000, 0x80008000, 0x80008000, 0x80018001, 0x80018001, 0x80018001, 0x80018001,
                        0x80028002, 0x80028002, 0x80028002, 0x80028002, 0x80038003, 0x80038003, 0x80038003, 0x80038003);
  const __m512i codes = _mm512_shuffle_epi8(_mm512_set1_epi32(static_cast<int>(four)), to_words);
  return _mm512_slli_epi16(_mm512_sub_epi16(_mm512_set1_epi16(kLift + 127), codes), 7);
}

// What is loaded of a chunk of R rows.
template <uint32_t R>
struct FoldedChunk {
  template <bool kWhole>
  void load(const RowReader<Format::kFp4, R>& rows, uint32_t chunk) {
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) {
      codes[r] = rows.template load<kWhole>(r, chunk);
      folds[r] = e2m1_fold(rows.template four_scales<kWhole>(r, chunk));
    }
  }

  __m512i codes[R];
  __m512i folds[R];
};

// Vector kVector of a chunk times T tokens. An activation is loaded once for all rows, and what is decoded lives just
// for that long: more of either would leave no registers for the sums.
template <Math kMath, uint32_t kVector, uint32_t R, uint32_t T>
inline __attribute__((always_inline)) void folded_vector(const FoldedChunk<R>& chunk, __m512i table,
                                                         const std::byte* const* x, size_t offset,
                                                         __m512 (&sums)[R][T]) {
  constexpr uint32_t kOperands = kMath == Math::kBf16 ? 1 : 2;
  constexpr std::integral_constant<Math, kMath> math;
  __m512i operands[R][kOperands];
#pragma GCC unroll 8
  for (uint32_t r = 0; r < R; ++r) {
    const __m512i word = _mm512_subs_epu16(e2m1_words<kVector>(chunk.codes[r], table), chunk.folds[r]);
    to_operands<1, kMath>(&word, operands[r]);
  }
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kOperands; ++i) {
      const __m512i value = _mm512_load_si512(x[t] + offset + (kVector * kOperands + i) * 64);
#pragma GCC unroll 8
      for (uint32_t r = 0; r < R; ++r) sums[r][t] = multiply_add(operands[r][i], value, sums[r][t], math);
    }
  }
}

template <Math kMath, uint32_t R, uint32_t T>
inline __attribute__((always_inline)) void folded_chunk(const FoldedChunk<R>& loaded, uint32_t chunk, __m512i table,
                                                        const std::byte* const* x, __m512 (&sums)[R][T]) {
  const size_t offset = size_t{chunk} * kChunkVectors<Format::kFp4, kMath> * 64;
  folded_vector<kMath, 0>(loaded, table, x, offset, sums);
  folded_vector<kMath, 1>(loaded, table, x, offset, sums);
  folded_vector<kMath, 2>(loaded, table, x, offset, sums);
  folded_vector<kMath, 3>(loaded, table, x, offset, sums);
}

// The scales that the next block has where this one has those of R rows: can_fold() looks at all of them before
// anything else is done. Fetching them early gained 3 to 5 % in moe_down of 512 tokens.
template <uint32_t R>
void fetch_next_scales(const RowReader<Format::kFp4, R>& rows) {
  const std::byte* next = rows.scales + kPackedRows * rows.scale_bytes;
  for (size_t at = 0; at < R * rows.scale_bytes; at += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T1);
  }
}

// Its frame is that of few_tile(), written out again: with one frame that is handed what to do per chunk, one token of
// FP8 took 40 % longer (GCC 12, Zen 5).
template <Math kMath, uint32_t R, uint32_t T>
void folded_tile(const WeightBlock& block, uint32_t row, const std::byte* const* x, float* out) {
  const RowReader<Format::kFp4, R> rows(block, row);
  const __m512i table = e2m1_table<kLift>();
  const std::byte* values[T];
  __m512 sums[R][T];
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
    values[t] = x[t];
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) sums[r][t] = _mm512_setzero_ps();
  }
  const auto whole = static_cast<uint32_t>(rows.row_bytes / 64);
  const std::byte* ahead = codes_ahead(block, rows.row_bytes, row);
  FoldedChunk<R> loaded;
  fetch_next_scales<R>(rows);
  for (uint32_t chunk = 0; chunk < whole; ++chunk) {
    fetch_ahead<R>(ahead, chunk);
    loaded.template load<true>(rows, chunk);
    folded_chunk<kMath>(loaded, chunk, table, values, sums);
  }
  if (rows.row_bytes % 64 != 0) {
    loaded.template load<false>(rows, whole);
    folded_chunk<kMath>(loaded, whole, table, values, sums);
  }
  write_sums<R, T>(sums, out + row);
}

template <Math kMath, uint32_t T>
void folded_tiles(const WeightBlock& block, const std::byte* const* x, float* out) {
  uint32_t row = 0;
  for (; row + kFoldedRows <= block.rows; row += kFoldedRows) folded_tile<kMath, kFoldedRows, T>(block, row, x, out);
  for (; row < block.rows; ++row) folded_tile<kMath, 1, T>(block, row, x, out);
}

// For blocks that can_fold(), and four tokens or more: passes have three to six. With six, sums, operands, table and
// activation fill the registers; such a pass is slower than others and only taken where another would be short.
template <Math kMath>
void multiply_folded(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  static constexpr PassTiles kTiles[] = {folded_tiles<kMath, 3>, folded_tiles<kMath, 4>, folded_tiles<kMath, 5>,
                                         folded_tiles<kMath, 6>};
  multiply_in_passes(kTiles, 3, (tokens + 3) / 5, block, x, tokens, out);
}

}  // namespace
}  // namespace nibble
