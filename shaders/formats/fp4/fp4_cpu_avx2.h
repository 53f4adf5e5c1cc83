// e2m1 codes for AVX2. Included only by per-ISA files; everything has internal linkage.
#pragma once

#include "shaders/common/weight_rows_cpu_avx2.h"

namespace nibble {
namespace {

template <>
struct Rows<WeightFormat::kFp4> {
  void start(const WeightBlock& block, uint32_t row) {
    codes = block.codes + size_t{row} * (block.cols / 2);
    scales = block.scales + size_t{block.scale_row + row} * (block.cols / 32);
  }
  void start_block(uint32_t c) {
    const auto code = static_cast<uint32_t>(scales[c / 32]);
    const uint32_t bits = code == 0 ? 0x00400000u : code == 255 ? kNanBits : code << 23;
    const __m256 magnitudes = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
    table = _mm256_mul_ps(magnitudes, broadcast_bits(bits));
  }
  Simd::Vec load(uint32_t c) const {
    int32_t nibbles;
    std::memcpy(&nibbles, codes + c / 2, 4);
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32(nibbles), shifts);
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(index, 28), _mm256_set1_epi32(INT32_MIN));
    return _mm256_xor_ps(_mm256_permutevar8x32_ps(table, index), _mm256_castsi256_ps(sign));  // low 3 bits only
  }
  float one(uint32_t) const { return 0.0f; }  // never called: a row is whole blocks of 32
  const std::byte* codes;
  const std::byte* scales;
  __m256 table;
};

}  // namespace
}  // namespace nibble
