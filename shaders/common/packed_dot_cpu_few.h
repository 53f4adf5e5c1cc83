// Few tokens: codes are decoded in registers and used at once, row after row as they lie in memory. The limit is the
// read bandwidth. Included only by per-ISA files.
#pragma once

#include "shaders/common/packed_dot_cpu_decode.h"

namespace nibble {
namespace {

// The factor of each lane of a chunk of e2m1, whose columns all lie in one block of scales: lanes 4b to 4b + 3 take
// byte b of `four`, moved to the exponent by way of the topmost byte.
inline __m512 e2m1_factors(uint32_t four) {
  const __m512i to_top =
      _mm512_setr_epi32(0x00ffffff, 0x00ffffff, 0x00ffffff, 0x00ffffff, 0x01ffffff, 0x01ffffff, 0x01ffffff, 0x01ffffff,
                        0x02ffffff, 0x02ffffff, 0x02ffffff, 0x02ffffff, 0x03ffffff, 0x03ffffff, 0x03ffffff, 0x03ffffff);
  const __m512i top = _mm512_shuffle_epi8(_mm512_set1_epi32(static_cast<int>(four)), to_top);
  return scale_factors(_mm512_srli_epi32(top, 1));
}

// R rows of a block as they are decoded, chunk by chunk. The rows of e4m3 share their scales.
template <Format kFormat, uint32_t R>
struct RowReader {
  RowReader(const WeightBlock& block, uint32_t row)
      : cols(block.cols),
        row_bytes(weight_row_bytes(kFormat, cols)),
        scale_bytes(kFormat == Format::kFp4 ? cols / 32 : (cols + 127) / 128),
        codes(block.codes + row * row_bytes),
        scales(block.scales) {
    const size_t scale_row = size_t{block.scale_row} + row;
    if constexpr (kFormat == Format::kFp4) scales += scale_row * scale_bytes;
    if constexpr (kFormat == Format::kFp8) scales += scale_row / 128 * scale_bytes;
  }

  template <bool kWhole>
  __m512i load(uint32_t r, uint32_t chunk) const {
    const std::byte* from = codes + r * row_bytes + size_t{chunk} * 64;
    return kWhole ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(chunk_mask<kFormat>(cols, chunk), from);
  }

  // The scale codes of a chunk of e2m1; 0 past the end of the row.
  template <bool kWhole>
  uint32_t four_scales(uint32_t r, uint32_t chunk) const {
    uint32_t four = 0;
    std::memcpy(&four, scales + r * scale_bytes + chunk * 4, kWhole ? 4 : scale_bytes % 4);
    return four;
  }

  template <bool kWhole>
  __m512 factors(uint32_t r, uint32_t chunk) const {
    if constexpr (kFormat == Format::kFp8) return _mm512_set1_ps(scale_factor(scales[chunk / 2]));
    return e2m1_factors(four_scales<kWhole>(r, chunk));
  }

  uint32_t cols;
  size_t row_bytes;
  size_t scale_bytes;
  const std::byte* codes;
  const std::byte* scales;
};

template <Format kFormat>
struct Tables {};
template <>
struct Tables<Format::kFp4> {
  __m512i values = e2m1_table<0>();
};
template <>
struct Tables<Format::kFp8> {
  E4m3Table values = e4m3_table(127);
};

// The pairs of a chunk.
template <Format kFormat, Math kMath>
void decode(__m512i codes, const Tables<kFormat>& tables, __m512i* operands) {
  if constexpr (kFormat == Format::kF32) {
    operands[0] = codes;
  } else {
    __m512i words[kChunkWords<kFormat>];
    if constexpr (kFormat == Format::kFp4) {
      words[0] = e2m1_words<0>(codes, tables.values);
      words[1] = e2m1_words<1>(codes, tables.values);
      words[2] = e2m1_words<2>(codes, tables.values);
      words[3] = e2m1_words<3>(codes, tables.values);
    } else if constexpr (kFormat == Format::kFp8) {
      e4m3_words(codes, tables.values, words);
    } else {
      words[0] = codes;
    }
    to_operands<kChunkWords<kFormat>, kMath>(words, operands);
  }
}

// One chunk of R rows times T tokens. The loops are unrolled so that all sums stay in registers. Scales stay outside
// the dot products: the result is exact for every scale code.
template <Format kFormat, Math kMath, uint32_t R, uint32_t T, bool kWhole>
inline __attribute__((always_inline)) void few_chunk(const RowReader<kFormat, R>& rows, const Tables<kFormat>& tables,
                                                     uint32_t chunk, const std::byte* const* x, __m512 (&sums)[R][T]) {
  constexpr bool kScaled = kFormat == Format::kFp4 || kFormat == Format::kFp8;
  constexpr uint32_t kVectors = kChunkVectors<kFormat, kMath>;
  constexpr std::integral_constant<Math, kMath> math;
  __m512i operands[R][kVectors];
  __m512 factors[R];
#pragma GCC unroll 8
  for (uint32_t r = 0; r < R; ++r) {
    decode<kFormat, kMath>(rows.template load<kWhole>(r, chunk), tables, operands[r]);
    if constexpr (kScaled) factors[r] = rows.template factors<kWhole>(r, chunk);
  }
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
    const std::byte* values = x[t] + size_t{chunk} * kVectors * 64;
    __m512 products[R];
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) products[r] = kScaled ? _mm512_setzero_ps() : sums[r][t];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      const __m512i value = _mm512_load_si512(values + v * 64);
#pragma GCC unroll 8
      for (uint32_t r = 0; r < R; ++r) products[r] = multiply_add(operands[r][v], value, products[r], math);
    }
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) {
      sums[r][t] = kScaled ? _mm512_fmadd_ps(products[r], factors[r], sums[r][t]) : products[r];
    }
  }
}

// Sums over the lanes of four rows at once: 13 instructions where one row after the other takes 40, which counts where
// a row has only 16 chunks.
inline __m128 add_lanes(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512 all = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

template <uint32_t R, uint32_t T>
void write_sums(const __m512 (&sums)[R][T], float* out) {
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
    if constexpr (R == 4) {
      _mm_storeu_ps(out + t * kPackedRows, add_lanes(sums[0][t], sums[1][t], sums[2][t], sums[3][t]));
    } else {
#pragma GCC unroll 8
      for (uint32_t r = 0; r < R; ++r) out[t * kPackedRows + r] = _mm512_reduce_add_ps(sums[r][t]);
    }
  }
}

// Codes are fetched into L2 this many bytes early. Cold FP4 rows of 2 KiB, four at a time, against plain reading on one
// thread of a Zen 4: 46 % without, 61 % one tile ahead into L1 (too few lines can be on their way to L1), 98 % one tile
// and 107 % two tiles ahead into L2.
constexpr size_t kAhead = 16384;

// What is read kAhead bytes after row `row`: in the block, or in what follows it.
inline const std::byte* codes_ahead(const WeightBlock& block, size_t row_bytes, uint32_t row) {
  const size_t at = row * row_bytes + kAhead;
  const size_t all = block.rows * row_bytes;
  return block.next == nullptr || at < all ? block.codes + at : block.next + (at - all);
}

// The lines for chunk `chunk` of R rows, in the order in which they lie in memory, not in that of the rows: row by row
// took 4 to 6 % longer for cold FP4 on a Zen 5, and rows longer than kAhead / R were fetched as they were used.
template <uint32_t R>
void fetch_ahead(const std::byte* ahead, uint32_t chunk) {
#pragma GCC unroll 8
  for (uint32_t r = 0; r < R; ++r) {
    _mm_prefetch(reinterpret_cast<const char*>(ahead + (size_t{chunk} * R + r) * 64), _MM_HINT_T1);
  }
}

template <Format kFormat, Math kMath, uint32_t R, uint32_t T>
void few_tile(const WeightBlock& block, const Tables<kFormat>& tables, uint32_t row, const std::byte* const* x,
              float* out) {
  const RowReader<kFormat, R> rows(block, row);
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
  for (uint32_t chunk = 0; chunk < whole; ++chunk) {
    fetch_ahead<R>(ahead, chunk);
    few_chunk<kFormat, kMath, R, T, true>(rows, tables, chunk, values, sums);
  }
  if (rows.row_bytes % 64 != 0) {
    few_chunk<kFormat, kMath, R, T, false>(rows, tables, whole, values, sums);
  }
  write_sums<R, T>(sums, out + row);
}

// Whether `count` rows from `row` on may be read together.
template <Format kFormat>
bool is_tile(const WeightBlock& block, uint32_t row, uint32_t count) {
  if (row + count > block.rows) return false;
  if constexpr (kFormat != Format::kFp8) return true;
  return (block.scale_row + row) / 128 == (block.scale_row + row + count - 1) / 128;
}

template <Format kFormat, Math kMath, uint32_t R, uint32_t T>
void few_tiles(const WeightBlock& block, const std::byte* const* x, float* out) {
  const Tables<kFormat> tables;
  for (uint32_t row = 0; row < block.rows;) {
    const bool tile = is_tile<kFormat>(block, row, R);
    tile ? few_tile<kFormat, kMath, R, T>(block, tables, row, x, out)
         : few_tile<kFormat, kMath, 1, T>(block, tables, row, x, out);
    row += tile ? R : 1;
  }
}

// tiles[count - least] multiplies all rows of a block with `count` tokens.
using PassTiles = void (*)(const WeightBlock&, const std::byte* const*, float*);

inline void multiply_in_passes(const PassTiles* tiles, uint32_t least, uint32_t passes, const WeightBlock& block,
                               const std::byte* const* x, uint32_t tokens, float* out) {
  for (uint32_t pass = 0; pass < passes; ++pass) {
    const uint32_t first = tokens * pass / passes;
    const uint32_t count = tokens * (pass + 1) / passes - first;
    tiles[count - least](block, x + first, out + first * kPackedRows);
  }
}

inline constexpr uint32_t kFewTokens = 8;  // most tokens of one pass over the rows

template <Format kFormat, Math kMath>
void multiply_few(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  static constexpr PassTiles kTiles[kFewTokens] = {few_tiles<kFormat, kMath, 4, 1>, few_tiles<kFormat, kMath, 2, 2>,
                                                   few_tiles<kFormat, kMath, 2, 3>, few_tiles<kFormat, kMath, 2, 4>,
                                                   few_tiles<kFormat, kMath, 2, 5>, few_tiles<kFormat, kMath, 2, 6>,
                                                   few_tiles<kFormat, kMath, 2, 7>, few_tiles<kFormat, kMath, 2, 8>};
  multiply_in_passes(kTiles, 1, (tokens + kFewTokens - 1) / kFewTokens, block, x, tokens, out);
}

}  // namespace
}  // namespace nibble
