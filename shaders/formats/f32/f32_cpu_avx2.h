// f32 for AVX2. Included only by per-ISA files; everything has internal linkage.
#pragma once

#include "shaders/common/weight_rows_cpu_avx2.h"

namespace nibble {
namespace {

template <>
struct Rows<WeightFormat::kF32> {
  void start(const WeightBlock& block, uint32_t row) { codes = block.codes + size_t{row} * block.cols * 4; }
  void start_block(uint32_t) {}
  Simd::Vec load(uint32_t c) const { return _mm256_loadu_ps(reinterpret_cast<const float*>(codes + size_t{c} * 4)); }
  float one(uint32_t c) const {
    float value;
    std::memcpy(&value, codes + size_t{c} * 4, 4);
    return value;
  }
  const std::byte* codes;
};

}  // namespace
}  // namespace nibble
