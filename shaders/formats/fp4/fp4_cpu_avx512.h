// e2m1 codes for AVX-512. Included only by per-ISA files; everything has internal linkage.
#pragma once

#include "shaders/common/packed_chunk_cpu.h"

namespace nibble {
namespace {

// bf16 bits of the e2m1 codes, twice: vpermw looks at five bits of an index and four are the code. Both zeros are +0.
constexpr WordTable e2m1_values(uint32_t exponent) {
  constexpr uint16_t kValues[8] = {0, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0};
  WordTable table{};
  for (uint32_t i = 0; i < 32; ++i) {
    if (i % 8 != 0) table.words[i] = static_cast<uint16_t>((kValues[i % 8] + (exponent << 7)) | (i & 8) << 12);
  }
  return table;
}

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

template <>
inline bool can_fold<Format::kFp4>(const WeightBlock& block) {
  const size_t count = size_t{block.rows} * (block.cols / 32);
  const auto* codes = reinterpret_cast<const uint8_t*>(block.scales + size_t{block.scale_row} * (block.cols / 32));
  uint8_t most = 0;  // above kLeastFolded; bytes alone, so that 64 of them make a vector
  for (size_t i = 0; i < count; ++i) {
    const auto above = static_cast<uint8_t>(codes[i] - kLeastFolded);
    most = above > most ? above : most;
  }
  return most <= kMostFolded - kLeastFolded;
}

// Scales are folded into e2m1 by a saturating subtraction from the exponents of values that are 2^kLift times too
// large: zeros stay zero.
constexpr uint32_t kLift = 100;

}  // namespace
}  // namespace nibble
