// Many tokens: a panel of 64 rows is decoded once, its scales folded in, and multiplied with all tokens. The limit is
// the arithmetic. Included only by per-ISA files.
#pragma once

#include "shaders/common/packed_dot_cpu_decode.h"

namespace nibble {
namespace {

// Operands of a panel per row: 256 of 4 bytes, times 64 rows = 64 KiB, which stays in L2.
constexpr uint32_t kPanelSteps = 256;
constexpr uint32_t kRowVectors = kPackedRows / 16;

// 16 rows of 16 words to 16 words of 16 rows: 64 shuffles.
inline void transpose(__m512i* rows) {
  __m512i t[16];
  for (uint32_t i = 0; i < 16; i += 4) {
    const __m512i a = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    const __m512i b = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    const __m512i c = _mm512_unpacklo_epi32(rows[i + 2], rows[i + 3]);
    const __m512i d = _mm512_unpackhi_epi32(rows[i + 2], rows[i + 3]);
    t[i] = _mm512_unpacklo_epi64(a, c);
    t[i + 1] = _mm512_unpackhi_epi64(a, c);
    t[i + 2] = _mm512_unpacklo_epi64(b, d);
    t[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (uint32_t i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
    const __m512i d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
    rows[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
}

// Writes operand `step` of 16 rows: step s, rows 16g to 16g + 15 lie at vector s·kRowVectors + g of a panel.
template <Math kMath>
void store_words(__m512i words, uint32_t step, __m512i* to) {
  __m512i operands[2];
  to_operands<1, kMath>(&words, operands);
  _mm512_store_si512(to + step * kRowVectors, operands[0]);
  if constexpr (kMath == Math::kF32) _mm512_store_si512(to + (step + 16) * kRowVectors, operands[1]);
}

// What the next panel has where this one, of `panel_chunks` chunks from `begin` on, has `chunk` of row `row`: in the
// same rows, or where the next block starts.
template <Format kFormat>
const std::byte* panel_ahead(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t chunk,
                             uint32_t panel_chunks) {
  const size_t row_bytes = weight_row_bytes(kFormat, block.cols);
  const size_t at = row * row_bytes + size_t{chunk} * 64;
  if (size_t{begin + panel_chunks} * 64 < row_bytes) return block.codes + at + size_t{panel_chunks} * 64;
  const std::byte* next = block.next != nullptr ? block.next : block.codes + kPackedRows * row_bytes;
  return next + at - size_t{begin} * 64;
}

// The scales of 16 rows for four chunks, 16 bytes a row: to[c] holds chunk c's four bytes of each row.
inline void load_scales(const WeightBlock& block, uint32_t row, uint32_t chunk, __m512i* to) {
  const uint32_t per_row = block.cols / 32;
  const uint32_t left = per_row - chunk * 4;
  const __mmask16 mask = lanes_below(left);
  const std::byte* from = block.scales + (size_t{block.scale_row} + row) * per_row + chunk * 4;
  __m512i rows[16];
  for (uint32_t r = 0; r < 16; ++r) {
    const __mmask16 inside = row + r < block.rows ? mask : __mmask16{0};
    rows[r] = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(inside, from + r * per_row));
  }
  transpose(rows);
  for (uint32_t c = 0; c < 4; ++c) to[c] = rows[c];
}

// Byte kBlock of the four scale codes of 16 rows, as what is subtracted from exponents (kLift).
template <uint32_t kBlock>
__m512i fold_words(__m512i scales) {
  // Byte kBlock of each row's four in both words.
  const __m512i pick = _mm512_set1_epi32(0x80008000 | kBlock | kBlock << 16);
  const __m512i lanes = _mm512_add_epi8(pick, _mm512_set4_epi32(0x000c000c, 0x00080008, 0x00040004, 0));
  const __m512i codes = _mm512_shuffle_epi8(scales, lanes);
  return _mm512_slli_epi16(_mm512_sub_epi16(_mm512_set1_epi16(kLift + 127), codes), 7);
}

template <Format kFormat, Math kMath>
class PanelDecoder {
 public:
  static constexpr uint32_t kChunkSteps = kChunkVectors<kFormat, kMath> * 16;
  static constexpr uint32_t kPanelChunks = kPanelSteps / kChunkSteps;

  explicit PanelDecoder(const WeightBlock& block) : block_(block) {}

  // Chunks [begin, end) of all rows; chunk `begin`, a multiple of kPanelChunks, becomes the panel's first. Rows in the
  // outer loop: their lines are a power of two apart and would share few sets of the first cache (FP8 of 64
  // tokens took a quarter longer).
  void decode(uint32_t begin, uint32_t end, __m512i* panel) {
    if constexpr (kFormat == Format::kFp8) load_tables(begin, end);
    for (uint32_t g = 0; g < kRowVectors; ++g) {
      for (uint32_t chunk = begin; chunk < end; ++chunk) {
        if (kFormat == Format::kFp4 && (chunk == begin || chunk % 4 == 0)) {
          load_scales(block_, g * 16, chunk / 4 * 4, scales_);
        }
        decode_rows(g * 16, begin, chunk, panel + size_t{chunk - begin} * kChunkSteps * kRowVectors + g);
      }
    }
  }

 private:
  // Scaled values of e4m3 for the panel's chunks, two of which lie in one block of scales.
  void load_tables(uint32_t begin, uint32_t end) {
    const auto* scales = block_.scales + size_t{block_.scale_row} / 128 * ((block_.cols + 127) / 128);
    for (uint32_t chunk = begin; chunk < end; chunk += 2) {
      tables_[(chunk - begin) / 2] = e4m3_table(static_cast<uint32_t>(scales[chunk / 2]));
    }
  }

  void decode_rows(uint32_t row, uint32_t begin, uint32_t chunk, __m512i* to) const {
    const uint32_t rows = block_.rows <= row ? 0 : block_.rows - row < 16 ? block_.rows - row : 16;
    const size_t row_bytes = weight_row_bytes(kFormat, block_.cols);
    const __mmask64 mask = chunk_mask<kFormat>(block_.cols, chunk);
    const std::byte* from = block_.codes + row * row_bytes + size_t{chunk} * 64;
    // The next panel is fetched into L2 one line per line decoded. All of a panel in one burst, or shares of it between
    // tiles, gained nothing.
    const std::byte* ahead = panel_ahead<kFormat>(block_, row, begin, chunk, kPanelChunks);
    __m512i codes[16];
    for (uint32_t r = 0; r < 16; ++r) {
      codes[r] = r < rows ? load_codes(from + r * row_bytes, mask) : _mm512_setzero_si512();
      _mm_prefetch(reinterpret_cast<const char*>(ahead + r * row_bytes), _MM_HINT_T1);
    }
    transpose(codes);
    if constexpr (kFormat == Format::kFp4) {
      const __m512i scales = scales_[chunk % 4];
      store_fp4<0>(codes, scales, to);
      store_fp4<1>(codes, scales, to);
      store_fp4<2>(codes, scales, to);
      store_fp4<3>(codes, scales, to);
    } else if constexpr (kFormat == Format::kFp8) {
      for (uint32_t l = 0; l < 16; ++l) {
        __m512i words[2];
        e4m3_words(codes[l], tables_[(chunk - begin) / 2], words);
        store_words<kMath>(words[0], l, to);
        store_words<kMath>(words[1], l + kVectorSteps, to);
      }
    } else if constexpr (kFormat == Format::kBf16) {
      for (uint32_t l = 0; l < 16; ++l) store_words<kMath>(codes[l], l, to);
    } else {
      for (uint32_t l = 0; l < 16; ++l) _mm512_store_si512(to + l * kRowVectors, codes[l]);
    }
  }

  // The 32 columns of one scale: words 4·kBlock to 4·kBlock + 3, 8 columns each.
  template <uint32_t kBlock>
  void store_fp4(const __m512i* codes, __m512i scales, __m512i* to) const {
    const __m512i fold = fold_words<kBlock>(scales);
    for (uint32_t l = kBlock * 4; l < kBlock * 4 + 4; ++l) {
      store_words<kMath>(_mm512_subs_epu16(e2m1_words<0>(codes[l], lifted_), fold), l, to);
      store_words<kMath>(_mm512_subs_epu16(e2m1_words<1>(codes[l], lifted_), fold), l + kVectorSteps, to);
      store_words<kMath>(_mm512_subs_epu16(e2m1_words<2>(codes[l], lifted_), fold), l + 2 * kVectorSteps, to);
      store_words<kMath>(_mm512_subs_epu16(e2m1_words<3>(codes[l], lifted_), fold), l + 3 * kVectorSteps, to);
    }
  }

  static constexpr uint32_t kVectorSteps = kMath == Math::kBf16 ? 16 : 32;  // steps that one vector of pairs takes

  const WeightBlock& block_;
  __m512i lifted_ = e2m1_table<kLift>();
  __m512i scales_[4] = {};
  E4m3Table tables_[kFormat == Format::kFp8 ? kPanelChunks / 2 : 1] = {};
};

constexpr uint32_t kTileTokens = 6;

// 64 rows x T tokens of sums in registers, T <= 6: with T = 6, 24 sums, 4 weights and an activation of 32 registers.
template <Math kMath, uint32_t T>
void many_tile(const __m512i* panel, const std::byte* const* x, size_t offset, uint32_t steps, bool first, float* out) {
  constexpr std::integral_constant<Math, kMath> math;
  const int32_t* values[T];
  __m512 sums[T][kRowVectors];
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
    values[t] = reinterpret_cast<const int32_t*>(x[t] + offset);
#pragma GCC unroll 8
    for (uint32_t g = 0; g < kRowVectors; ++g) {
      sums[t][g] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(out + t * kPackedRows + g * 16);
    }
  }
  for (uint32_t step = 0; step < steps; ++step) {
    __m512i weights[kRowVectors];
#pragma GCC unroll 8
    for (uint32_t g = 0; g < kRowVectors; ++g) weights[g] = _mm512_load_si512(panel + step * kRowVectors + g);
#pragma GCC unroll 8
    for (uint32_t t = 0; t < T; ++t) {
      const __m512i value = _mm512_set1_epi32(values[t][step]);
#pragma GCC unroll 8
      for (uint32_t g = 0; g < kRowVectors; ++g) sums[t][g] = multiply_add(weights[g], value, sums[t][g], math);
    }
  }
#pragma GCC unroll 8
  for (uint32_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (uint32_t g = 0; g < kRowVectors; ++g) _mm512_storeu_ps(out + t * kPackedRows + g * 16, sums[t][g]);
  }
}

template <Math kMath>
void many_tile(uint32_t tokens, const __m512i* panel, const std::byte* const* x, size_t offset, uint32_t steps,
               bool first, float* out) {
  using Tile = void (*)(const __m512i*, const std::byte* const*, size_t, uint32_t, bool, float*);
  static constexpr Tile kTiles[kTileTokens] = {many_tile<kMath, 1>, many_tile<kMath, 2>, many_tile<kMath, 3>,
                                               many_tile<kMath, 4>, many_tile<kMath, 5>, many_tile<kMath, 6>};
  kTiles[tokens - 1](panel, x, offset, steps, first, out);
}

template <Format kFormat, Math kMath>
void multiply_many(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  using Decoder = PanelDecoder<kFormat, kMath>;
  alignas(64) __m512i panel[kPanelSteps * kRowVectors];
  Decoder decoder(block);
  const uint32_t chunks = chunk_count<kFormat>(block.cols);
  const uint32_t tiles = (tokens + kTileTokens - 1) / kTileTokens;
  for (uint32_t begin = 0; begin < chunks; begin += Decoder::kPanelChunks) {
    const uint32_t end = chunks - begin < Decoder::kPanelChunks ? chunks : begin + Decoder::kPanelChunks;
    decoder.decode(begin, end, panel);
    for (uint32_t i = 0; i < tiles; ++i) {
      const uint32_t t = tokens * i / tiles;
      many_tile<kMath>(tokens * (i + 1) / tiles - t, panel, x + t, size_t{begin} * Decoder::kChunkSteps * 4,
                       (end - begin) * Decoder::kChunkSteps, begin == 0, out + t * kPackedRows);
    }
  }
}

}  // namespace
}  // namespace nibble
