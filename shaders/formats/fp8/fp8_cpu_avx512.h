// e4m3 codes for AVX-512. Included only by per-ISA files; everything has internal linkage.
#pragma once

#include "shaders/common/packed_chunk_cpu.h"

namespace nibble {
namespace {

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

template <>
inline bool can_fold<Format::kFp8>(const WeightBlock& block) {
  // One table of decoded values serves the whole panel, so its rows must share their scales.
  if (block.scale_row / 128 != (block.scale_row + block.rows - 1) / 128) return false;
  const uint32_t blocks = (block.cols + 127) / 128;
  for (uint32_t i = 0; i < blocks; ++i) {
    const auto code = static_cast<uint32_t>(block.scales[block.scale_row / 128 * blocks + i]);
    if (code < kLeastFolded || code > kMostFolded) return false;
  }
  return true;
}

}  // namespace
}  // namespace nibble
