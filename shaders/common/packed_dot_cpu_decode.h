// How 64 bytes of stored codes become operands of AVX-512 arithmetic, per weight format. Included only by per-ISA
// files; everything has internal linkage.
//
// A chunk is 64 bytes of one row. Decoded, it is `kWords` vectors of 16 pairs of bf16; for bf16 dot products a pair is
// one operand, for f32 arithmetic its two halves are two. Packed activations lie in the same order, so nothing is
// shuffled in the inner loops: pair l of vector j holds columns kWords·2·l + j and that + kWords.
#pragma once

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "shaders/common/packed_dot_cpu.h"

namespace nibble {
namespace {

enum class Math : uint8_t { kF32, kBf16 };

using Format = WeightFormat;

template <Format kFormat>
constexpr uint32_t kChunkCols = kFormat == Format::kFp4    ? 128
                                : kFormat == Format::kFp8  ? 64
                                : kFormat == Format::kBf16 ? 32
                                                           : 16;
template <Format kFormat>
constexpr uint32_t kChunkWords = kChunkCols<kFormat> / 32;  // vectors of pairs; 0 for f32
// Vectors of 32-bit operands that a chunk decodes to.
template <Format kFormat, Math kMath>
constexpr uint32_t kChunkVectors = kMath == Math::kBf16 ? kChunkCols<kFormat> / 32 : kChunkCols<kFormat> / 16;

template <Format kFormat>
constexpr uint32_t chunk_count(uint32_t cols) {
  return (cols + kChunkCols<kFormat> - 1) / kChunkCols<kFormat>;
}

// Which bytes of a chunk belong to the row.
template <Format kFormat>
__mmask64 chunk_mask(uint32_t cols, uint32_t chunk) {
  const size_t left = weight_row_bytes(kFormat, cols) - size_t{chunk} * 64;
  return left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
}

inline __mmask16 lanes_below(uint32_t left) {
  return left >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << left) - 1);
}

inline __m512i load_codes(const std::byte* from, __mmask64 mask) { return _mm512_maskz_loadu_epi8(mask, from); }

inline __m512 multiply_add(__m512i w, __m512i x, __m512 sum, std::integral_constant<Math, Math::kF32>) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum);
}
#if defined(__AVX512BF16__)
inline __m512 multiply_add(__m512i w, __m512i x, __m512 sum, std::integral_constant<Math, Math::kBf16>) {
  return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
}
#endif

struct alignas(64) WordTable {
  uint16_t words[128];
};

// bf16 bits of the e2m1 codes, twice: vpermw looks at five bits of an index and four are the code. Both zeros are +0.
constexpr WordTable e2m1_values(uint32_t exponent) {
  constexpr uint16_t kValues[8] = {0, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0};
  WordTable table{};
  for (uint32_t i = 0; i < 32; ++i) {
    if (i % 8 != 0) table.words[i] = static_cast<uint16_t>((kValues[i % 8] + (exponent << 7)) | (i & 8) << 12);
  }
  return table;
}

constexpr uint16_t kNanBf16 = 0x7fc0;

// bf16 bits of the e4m3 magnitudes, of which the last is NaN. Subnormals of e4m3 are normal here, which dot products
// need: they take bf16 subnormals for zero.
constexpr WordTable e4m3_values() {
  WordTable table{};
  for (uint32_t code = 1; code < 127; ++code) {
    // A subnormal is its mantissa times 2^-9; its leading one at bit `lead` stands for 2^(lead - 9).
    const uint32_t exponent = code >> 3;
    const uint32_t lead = exponent != 0 ? 3 : (code >= 4 ? 2 : code >= 2 ? 1 : 0);
    const uint32_t mantissa = ((code & 7) << (7 - lead)) & 0x7f;
    table.words[code] = static_cast<uint16_t>((exponent != 0 ? exponent + 120 : lead + 118) << 7 | mantissa);
  }
  table.words[127] = kNanBf16;
  return table;
}

constexpr WordTable kE4m3Values = e4m3_values();

// 2^exponent times the values.
template <uint32_t kExponent>
__m512i e2m1_table() {
  static constexpr WordTable kTable = e2m1_values(kExponent);
  return _mm512_load_si512(kTable.words);
}

// Vector j of a chunk of e2m1: four codes a word, of which vpermw sees the lowest. Five instructions for 128 weights'
// worth of indices; a byte-wise decode needs twice as many.
template <uint32_t kVector>
__m512i e2m1_words(__m512i codes, __m512i table) {
  const __m512i index = kVector == 0 ? codes : _mm512_srli_epi16(codes, 4 * kVector);
  return _mm512_permutexvar_epi16(index, table);
}

// The two bytes of the bf16 of every e4m3 magnitude times 2^(scale code - 127); zero and NaN stay what they are.
struct E4m3Table {
  __m512i high[2];
  __m512i low[2];
};

inline E4m3Table e4m3_table(uint32_t scale_code) {
  const __m512i shift = _mm512_set1_epi16(static_cast<int16_t>((scale_code << 7) - (127u << 7)));
  E4m3Table table;
  for (uint32_t half = 0; half < 2; ++half) {
    __m256i high[2];
    __m256i low[2];
    for (uint32_t i = 0; i < 2; ++i) {
      const __m512i words = _mm512_load_si512(kE4m3Values.words + half * 64 + i * 32);
      const __mmask32 scalable =
          _mm512_test_epi16_mask(words, words) & _mm512_cmpneq_epi16_mask(words, _mm512_set1_epi16(kNanBf16));
      const __m512i scaled = _mm512_mask_add_epi16(words, scalable, words, shift);
      low[i] = _mm512_cvtepi16_epi8(scaled);
      high[i] = _mm512_cvtepi16_epi8(_mm512_srli_epi16(scaled, 8));
    }
    table.high[half] = _mm512_inserti64x4(_mm512_castsi256_si512(high[0]), high[1], 1);
    table.low[half] = _mm512_inserti64x4(_mm512_castsi256_si512(low[0]), low[1], 1);
  }
  return table;
}

inline void e4m3_words(__m512i codes, const E4m3Table& table, __m512i* words) {
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i low_bytes = _mm512_set1_epi16(0x00ff);
  const __m512i low = _mm512_permutex2var_epi8(table.low[0], codes, table.low[1]);
  const __m512i magnitude = _mm512_permutex2var_epi8(table.high[0], codes, table.high[1]);
  const __m512i high = _mm512_ternarylogic_epi32(magnitude, codes, sign, 0xf8);            // a | b & c
  words[0] = _mm512_ternarylogic_epi32(low_bytes, low, _mm512_slli_epi16(high, 8), 0xca);  // a ? b : c
  words[1] = _mm512_ternarylogic_epi32(low_bytes, _mm512_srli_epi16(low, 8), high, 0xca);
}

// The pairs of `kWords` vectors as operands: themselves, or their halves as f32.
template <uint32_t kWords, Math kMath>
void to_operands(const __m512i* words, __m512i* operands) {
  for (uint32_t j = 0; j < kWords; ++j) {
    if constexpr (kMath == Math::kBf16) {
      operands[j] = words[j];
    } else {
      operands[2 * j] = _mm512_slli_epi32(words[j], 16);
      operands[2 * j + 1] = _mm512_and_si512(words[j], _mm512_set1_epi32(static_cast<int>(0xffff0000)));
    }
  }
}

// Scale codes that may be folded into bf16 weights: no weight leaves the range of normal numbers, and no product of one
// with an activation of 2^-31 or more falls below it, where dot products flush to zero.
constexpr uint32_t kLeastFolded = 64;
constexpr uint32_t kMostFolded = 190;

template <Format kFormat>
bool can_fold(const WeightBlock& block) {
  if constexpr (kFormat == Format::kFp4) {
    const size_t count = size_t{block.rows} * (block.cols / 32);
    const auto* codes = reinterpret_cast<const uint8_t*>(block.scales + size_t{block.scale_row} * (block.cols / 32));
    uint8_t most = 0;  // above kLeastFolded; bytes alone, so that 64 of them make a vector
    for (size_t i = 0; i < count; ++i) {
      const auto above = static_cast<uint8_t>(codes[i] - kLeastFolded);
      most = above > most ? above : most;
    }
    return most <= kMostFolded - kLeastFolded;
  } else if constexpr (kFormat == Format::kFp8) {
    // One table of decoded values serves the whole panel, so its rows must share their scales.
    if (block.scale_row / 128 != (block.scale_row + block.rows - 1) / 128) return false;
    const uint32_t blocks = (block.cols + 127) / 128;
    for (uint32_t i = 0; i < blocks; ++i) {
      const auto code = static_cast<uint32_t>(block.scales[block.scale_row / 128 * blocks + i]);
      if (code < kLeastFolded || code > kMostFolded) return false;
    }
    return true;
  } else {
    return true;
  }
}

// Scales are folded into e2m1 by a saturating subtraction from the exponents of values that are 2^kLift times too
// large: zeros stay zero.
constexpr uint32_t kLift = 100;

// Scales of codes that are shifted to an exponent's place. Code 0 is 2^-127, an f32 subnormal; code 255 is NaN.
inline __m512 scale_factors(__m512i shifted) {
  const __m512i bits = _mm512_max_epu32(shifted, _mm512_set1_epi32(0x00400000));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(shifted, _mm512_set1_epi32(0x7f800000));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7fc00000)));
}

inline float scale_factor(std::byte code) {
  // Code 0 is 2^-127, an f32 subnormal; code 255 is NaN.
  const uint32_t shifted = code == std::byte{0} ? 0x00400000u : static_cast<uint32_t>(code) << 23;
  const uint32_t bits = code == std::byte{255} ? 0x7fc00000u : shifted;
  float factor;
  std::memcpy(&factor, &bits, 4);
  return factor;
}

}  // namespace
}  // namespace nibble
