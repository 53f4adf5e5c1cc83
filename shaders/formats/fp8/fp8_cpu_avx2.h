// e4m3 codes for AVX2. Included only by per-ISA files; everything has internal linkage.
#pragma once

#include "shaders/common/weight_rows_cpu_avx2.h"

namespace nibble {
namespace {

// An e4m3 code moved into the bits of an f16 is the value over 256, subnormals included, since f16 has a bias of 15
// for e4m3's 7 and one exponent bit more. The 256 goes into the scale, which keeps scale code 0 out of f32's
// subnormals. Neither NaN among the codes nor scales of 2^120 and more are for this: see is_usual().
template <>
struct Rows<WeightFormat::kFp8> {
  void start(const WeightBlock& block, uint32_t row) {
    cols = block.cols;
    codes = block.codes + size_t{row} * block.cols;
    scales = block.scales + size_t{block.scale_row + row} / 128 * ((block.cols + 127) / 128);
  }
  void start_block(uint32_t c) {
    const auto code = static_cast<uint32_t>(scales[c / 128]);
    factor = has_nan(c) ? broadcast_bits(kNanBits) : broadcast_bits((code + 8) << 23);
  }
  Simd::Vec load(uint32_t c) const { return decode(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + c))); }
  float one(uint32_t c) {
    start_block(c);
    return _mm256_cvtss_f32(decode(_mm_cvtsi32_si128(static_cast<int>(codes[c]))));
  }
  Simd::Vec decode(__m128i bytes) const {
    const __m128i wide = _mm_slli_epi16(_mm_cvtepi8_epi16(bytes), 7);
    const __m128i half = _mm_and_si128(wide, _mm_set1_epi16(static_cast<int16_t>(0xbfff)));
    return _mm256_mul_ps(_mm256_cvtph_ps(half), factor);
  }
  // Whether there is a NaN among the codes of the block that column c lies in: one makes the row's sums NaN, so it need
  // not be where it belongs. Codes 0x7f and 0xff are the largest of their block as signed and as unsigned bytes.
  bool has_nan(uint32_t c) const {
    const uint32_t begin = c / 128 * 128;
    const uint32_t end = begin + 128 < cols ? begin + 128 : cols;
    __m256i most = _mm256_setzero_si256();
    uint32_t i = begin;
    for (; i + 32 <= end; i += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i));
      most = _mm256_max_epu8(most, _mm256_or_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80))));
    }
    bool found = _mm256_movemask_epi8(_mm256_cmpeq_epi8(most, _mm256_set1_epi8(-1))) != 0;
    for (; i < end; ++i) found = found || (codes[i] | std::byte{0x80}) == std::byte{0xff};
    return found;
  }
  const std::byte* codes;
  const std::byte* scales;
  __m256 factor;
  uint32_t cols;
};

// With the 256 of decoded e4m3 the largest scales become infinite.
template <>
inline bool is_usual<WeightFormat::kFp8>(const WeightBlock& block) {
  const size_t blocks = (block.cols + 127) / 128;
  const size_t first = block.scale_row / 128;
  const size_t last = (size_t{block.scale_row} + block.rows - 1) / 128;
  const auto* scales = reinterpret_cast<const uint8_t*>(block.scales);
  uint8_t most = 0;
  for (size_t i = first * blocks; i < (last + 1) * blocks; ++i) most = scales[i] > most ? scales[i] : most;
  return most < 247;
}

}  // namespace
}  // namespace nibble
