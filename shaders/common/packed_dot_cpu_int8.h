// e2m1 weights times activations rounded to int8 with a scale per 128 columns: twice an e2m1 value is an integer, and
// integer dot products take four columns a lane. Included only by per-ISA files with VNNI.
//
// vpdpbusd wants one unsigned operand: weights are stored as 2·value + 12, and every sum starts at -12·Σx.
#pragma once

#include "shaders/common/packed_dot_cpu_few.h"
#include "shaders/common/packed_dot_cpu_many.h"

namespace nibble {
namespace {

// A packed chunk of 128 activations: byte i of `values[j]` is column 2i + j, as the nibbles of the codes lie.
struct alignas(64) Int8Chunk {
  int8_t values[2][64];
  int32_t lane_starts[16];  // -12·Σ of the 8 columns of each lane
  int32_t block_starts[4];  // the same for the 32 columns of each scale
  float factor;             // of the sums: half the scale of the activations
  int32_t unused[11];
};
static_assert(sizeof(Int8Chunk) == 256);

inline size_t int8_packed_bytes(uint32_t cols) { return chunk_count<Format::kFp4>(cols) * sizeof(Int8Chunk) + 64; }

inline void pack_int8(const float* x, uint32_t cols, std::byte* packed) {
  auto* chunk = reinterpret_cast<Int8Chunk*>(packed);
  for (uint32_t begin = 0; begin < cols; begin += 128, ++chunk) {
    __m512 values[8];
    __m512 largest = _mm512_setzero_ps();
    __mmask16 nan = 0;
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t at = begin + i * 16;
      values[i] = _mm512_maskz_loadu_ps(at < cols ? lanes_below(cols - at) : __mmask16{0}, x + at);
      largest = _mm512_max_ps(largest, _mm512_abs_ps(values[i]));
      nan |= _mm512_cmp_ps_mask(values[i], values[i], _CMP_UNORD_Q);
    }
    const float amax = _mm512_reduce_max_ps(largest);
    const __m512 inverse = _mm512_set1_ps(amax > 0 ? 127.0f / amax : 0.0f);
    alignas(64) int8_t rounded[128];
    for (uint32_t i = 0; i < 8; ++i) {
      const __m512i integers = _mm512_cvtps_epi32(_mm512_mul_ps(values[i], inverse));
      _mm_store_si128(reinterpret_cast<__m128i*>(rounded + i * 16), _mm512_cvtsepi32_epi8(integers));
    }
    __m512i starts = _mm512_setzero_si512();
    for (uint32_t j = 0; j < 2; ++j) {
      const auto bytes = [&rounded, j](uint32_t half) {
        return _mm512_cvtepi16_epi8(_mm512_srli_epi16(_mm512_load_si512(rounded + half * 64), j * 8));
      };
      const __m512i column = _mm512_inserti64x4(_mm512_castsi256_si512(bytes(0)), bytes(1), 1);
      starts = _mm512_dpbusd_epi32(starts, _mm512_set1_epi8(12), column);
      _mm512_store_si512(chunk->values[j], column);
    }
    _mm512_store_si512(chunk->lane_starts, _mm512_sub_epi32(_mm512_setzero_si512(), starts));
    for (uint32_t b = 0; b < 4; ++b) {
      const int32_t* lanes = chunk->lane_starts + b * 4;
      chunk->block_starts[b] = lanes[0] + lanes[1] + lanes[2] + lanes[3];
    }
    chunk->factor = nan != 0 ? __builtin_nanf("") : amax / 254;
  }
}

// Low and high nibbles of a chunk as 2·value + 12.
inline void int8_weights(__m512i codes, __m512i* weights) {
  const __m512i table =
      _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  const __m512i nibble = _mm512_set1_epi8(15);
  weights[0] = _mm512_shuffle_epi8(table, _mm512_and_si512(codes, nibble));
  weights[1] = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble));
}

// ---- few tokens ---------------------------------------------------------------------------------------------------

template <uint32_t R, uint32_t T, bool kWhole>
inline __attribute__((always_inline)) void int8_few_chunk(const RowReader<Format::kFp4, R>& rows, uint32_t chunk,
                                                          const Int8Chunk* const* x, __m512 (&sums)[R][T]) {
  __m512i weights[R][2];
  __m512 factors[R];
#pragma GCC unroll 8
  for (uint32_t r = 0; r < R; ++r) {
    int8_weights(rows.template load<kWhole>(r, chunk), weights[r]);
    factors[r] = rows.template factors<kWhole>(r, chunk);
  }
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
    const Int8Chunk& values = x[t][chunk];
    const __m512i even = _mm512_load_si512(values.values[0]);
    const __m512i odd = _mm512_load_si512(values.values[1]);
    const __m512i starts = _mm512_load_si512(values.lane_starts);
    const __m512 factor = _mm512_set1_ps(values.factor);
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) {
      const __m512i half = _mm512_dpbusd_epi32(starts, weights[r][0], even);
      const __m512 products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(half, weights[r][1], odd));
      sums[r][t] = _mm512_fmadd_ps(_mm512_mul_ps(products, factor), factors[r], sums[r][t]);
    }
  }
}

template <uint32_t R, uint32_t T>
void int8_few_tile(const WeightBlock& block, uint32_t row, const std::byte* const* x, float* out) {
  const RowReader<Format::kFp4, R> rows(block, row);
  const Int8Chunk* values[T];
  __m512 sums[R][T];
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
    values[t] = reinterpret_cast<const Int8Chunk*>(x[t]);
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) sums[r][t] = _mm512_setzero_ps();
  }
  const auto whole = static_cast<uint32_t>(rows.row_bytes / 64);
  const std::byte* ahead = codes_ahead(block, rows.row_bytes, row);
  for (uint32_t chunk = 0; chunk < whole; ++chunk) {
    fetch_ahead<R>(ahead, chunk);
    int8_few_chunk<R, T, true>(rows, chunk, values, sums);
  }
  if (rows.row_bytes % 64 != 0) int8_few_chunk<R, T, false>(rows, whole, values, sums);
  write_sums<R, T>(sums, out + row);
}

template <uint32_t R, uint32_t T>
void int8_few_tiles(const WeightBlock& block, const std::byte* const* x, float* out) {
  uint32_t row = 0;
  for (; row + R <= block.rows; row += R) int8_few_tile<R, T>(block, row, x, out);
  for (; row < block.rows; ++row) int8_few_tile<1, T>(block, row, x, out);
}

inline void int8_multiply_few(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  using Tiles = void (*)(const WeightBlock&, const std::byte* const*, float*);
  static constexpr Tiles kTiles[kFewTokens] = {int8_few_tiles<4, 1>, int8_few_tiles<4, 2>, int8_few_tiles<4, 3>,
                                               int8_few_tiles<4, 4>, int8_few_tiles<2, 5>, int8_few_tiles<2, 6>,
                                               int8_few_tiles<2, 7>, int8_few_tiles<2, 8>};
  for (uint32_t first = 0; first < tokens; first += kFewTokens) {
    const uint32_t count = tokens - first < kFewTokens ? tokens - first : kFewTokens;
    kTiles[count - 1](block, x + first, out + first * kPackedRows);
  }
}

// ---- many tokens --------------------------------------------------------------------------------------------------

constexpr uint32_t kInt8PanelChunks = 4;
constexpr uint32_t kHalfVectors = 2;  // a tile takes 32 rows: as many f32 sums as integer sums fit into registers

// 32 rows x 4 chunks: 16 KiB of weights, which stay in L1 while all tokens pass. Weights of one scale stand together,
// 8 steps of 4 columns: step 2q + j of scale b of a chunk is byte j of the nibbles of word 4b + q.
struct Int8Panel {
  __m512i weights[kInt8PanelChunks][4][8][kHalfVectors];
  __m512 factors[kInt8PanelChunks][4][kHalfVectors];
};

// Rows [row, row + 16) of a block for chunks [begin, end) to vector g of a panel.
inline void int8_decode(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t end, uint32_t g,
                        Int8Panel& panel) {
  const uint32_t rows = block.rows <= row ? 0 : block.rows - row < 16 ? block.rows - row : 16;
  const size_t row_bytes = weight_row_bytes(Format::kFp4, block.cols);
  __m512i scales[4];
  load_scales(block, row, begin, scales);
  for (uint32_t chunk = begin; chunk < end; ++chunk) {
    const __mmask64 mask = chunk_mask<Format::kFp4>(block.cols, chunk);
    const std::byte* from = block.codes + row * row_bytes + size_t{chunk} * 64;
    const std::byte* ahead = panel_ahead<Format::kFp4>(block, row, begin, chunk, kInt8PanelChunks);
    __m512i codes[16];
    for (uint32_t r = 0; r < 16; ++r) {
      codes[r] = r < rows ? load_codes(from + r * row_bytes, mask) : _mm512_setzero_si512();
      _mm_prefetch(reinterpret_cast<const char*>(ahead + r * row_bytes), _MM_HINT_T1);
    }
    transpose(codes);
    auto& to = panel.weights[chunk - begin];
    for (uint32_t l = 0; l < 16; ++l) {
      __m512i weights[2];
      int8_weights(codes[l], weights);
      to[l / 4][l % 4 * 2][g] = weights[0];
      to[l / 4][l % 4 * 2 + 1][g] = weights[1];
    }
    for (uint32_t b = 0; b < 4; ++b) {
      const __m512i code = _mm512_and_si512(
          _mm512_srlv_epi32(scales[chunk - begin], _mm512_set1_epi32(static_cast<int>(b * 8))), _mm512_set1_epi32(255));
      panel.factors[chunk - begin][b][g] = scale_factors(_mm512_slli_epi32(code, 23));
    }
  }
}

// 32 rows x T tokens, T <= 6: 12 sums, 12 sums of the current scale, 2 weights, an activation.
template <uint32_t T>
void int8_many_tile(const Int8Panel& panel, const std::byte* const* x, uint32_t begin, uint32_t chunks, float* out) {
  __m512 sums[T][kHalfVectors];
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (uint32_t g = 0; g < kHalfVectors; ++g) {
      sums[t][g] = begin == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(out + t * kPackedRows + g * 16);
    }
  }
  for (uint32_t c = 0; c < chunks; ++c) {
    const Int8Chunk* values[T];
#pragma GCC unroll 8
    for (uint32_t t = 0; t < T; ++t) values[t] = reinterpret_cast<const Int8Chunk*>(x[t]) + begin + c;
    for (uint32_t b = 0; b < 4; ++b) {
      __m512i products[T][kHalfVectors];
#pragma GCC unroll 8
      for (uint32_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
        for (uint32_t g = 0; g < kHalfVectors; ++g) products[t][g] = _mm512_set1_epi32(values[t]->block_starts[b]);
      }
#pragma GCC unroll 8
      for (uint32_t step = 0; step < 8; ++step) {
        const __m512i* weights = panel.weights[c][b][step];
#pragma GCC unroll 8
        for (uint32_t t = 0; t < T; ++t) {
          int32_t four;
          std::memcpy(&four, values[t]->values[step % 2] + b * 16 + step / 2 * 4, 4);
          const __m512i value = _mm512_set1_epi32(four);
#pragma GCC unroll 8
          for (uint32_t g = 0; g < kHalfVectors; ++g) {
            products[t][g] = _mm512_dpbusd_epi32(products[t][g], weights[g], value);
          }
        }
      }
#pragma GCC unroll 8
      for (uint32_t t = 0; t < T; ++t) {
        const __m512 factor = _mm512_set1_ps(values[t]->factor);
#pragma GCC unroll 8
        for (uint32_t g = 0; g < kHalfVectors; ++g) {
          const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(products[t][g]), factor);
          sums[t][g] = _mm512_fmadd_ps(scaled, panel.factors[c][b][g], sums[t][g]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (uint32_t g = 0; g < kHalfVectors; ++g) _mm512_storeu_ps(out + t * kPackedRows + g * 16, sums[t][g]);
  }
}

inline void int8_multiply_many(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  using Tile = void (*)(const Int8Panel&, const std::byte* const*, uint32_t, uint32_t, float*);
  static constexpr Tile kTiles[kTileTokens] = {int8_many_tile<1>, int8_many_tile<2>, int8_many_tile<3>,
                                               int8_many_tile<4>, int8_many_tile<5>, int8_many_tile<6>};
  Int8Panel panel;
  const uint32_t chunks = chunk_count<Format::kFp4>(block.cols);
  for (uint32_t begin = 0; begin < chunks; begin += kInt8PanelChunks) {
    const uint32_t end = chunks - begin < kInt8PanelChunks ? chunks : begin + kInt8PanelChunks;
    for (uint32_t row = 0; row < block.rows; row += 16 * kHalfVectors) {
      for (uint32_t g = 0; g < kHalfVectors; ++g) int8_decode(block, row + g * 16, begin, end, g, panel);
      for (uint32_t t = 0; t < tokens; t += kTileTokens) {
        const uint32_t count = tokens - t < kTileTokens ? tokens - t : kTileTokens;
        kTiles[count - 1](panel, x + t, begin, end - begin, out + t * kPackedRows + row);
      }
    }
  }
}

constexpr uint32_t kInt8ManyTokens = 9;

inline void int8_multiply(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  tokens >= kInt8ManyTokens ? int8_multiply_many(block, x, tokens, out) : int8_multiply_few(block, x, tokens, out);
}

constexpr PackedDot kPackedDotInt8 = {.packed_bytes = int8_packed_bytes, .pack = pack_int8, .multiply = int8_multiply};

}  // namespace
}  // namespace nibble
