// bf16 for AVX2. Included only by per-ISA files; everything has internal linkage.
#pragma once

#include "shaders/common/weight_rows_cpu_avx2.h"

namespace nibble {
namespace {

template <>
struct Rows<WeightFormat::kBf16> {
  void start(const WeightBlock& block, uint32_t row) { codes = block.codes + size_t{row} * block.cols * 2; }
  void start_block(uint32_t) {}
  Simd::Vec load(uint32_t c) const {
    const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + size_t{c} * 2));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
  float one(uint32_t c) const {
    uint16_t code;
    std::memcpy(&code, codes + size_t{c} * 2, 2);
    const uint32_t bits = uint32_t{code} << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  const std::byte* codes;
};

}  // namespace
}  // namespace nibble
