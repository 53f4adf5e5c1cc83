// Rows of stored weights as vectors of 8 f32, for AVX2 with FMA and F16C: what the formats' decoders share. Included
// only by per-ISA files; everything has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "shaders/common/weight_dot_cpu.h"

namespace nibble {
namespace {

struct Simd {
  using Vec = __m256;
  static constexpr uint32_t kLanes = 8;
  static constexpr uint32_t kRows8 = 1;  // 8 accumulators, a value and a weight of 16 registers
  static constexpr uint32_t kRows4 = 2;
  static Vec zero() { return _mm256_setzero_ps(); }
  static Vec load(const float* from) { return _mm256_loadu_ps(from); }
  static Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  static float sum(Vec v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
  }
  static void prefetch(const std::byte* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }
};

// A row of a block: start(), then start_block() at the first column of each block of scales.
template <WeightFormat kFormat>
struct Rows;

constexpr uint32_t kNanBits = 0x7fc00000;

inline __m256 broadcast_bits(uint32_t bits) { return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(bits))); }

// Whether Rows can take the block's scales.
template <WeightFormat kFormat>
bool is_usual(const WeightBlock&) {
  return true;
}

}  // namespace
}  // namespace nibble
