// quant_fp8_f32 for 16 columns at a time, to the bit what quant_fp8_f32_cpu.cpp computes.
#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>

#include <bit>

#include "runtime/base/format.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32_cpu.h"

namespace nibble {
namespace {

__mmask16 lanes_below(uint32_t left) {
  return left >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << left) - 1);
}

// |values| <= 448 rounded to e4m3's grid, as round_e4m3 does it.
__m512 round_to_e4m3(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i exponent = _mm512_and_si512(_mm512_srli_epi32(bits, 23), _mm512_set1_epi32(0xff));
  const __m512i raised = _mm512_add_epi32(_mm512_max_epu32(exponent, _mm512_set1_epi32(121)), _mm512_set1_epi32(20));
  const __m512 anchor =
      _mm512_castsi512_ps(_mm512_or_si512(_mm512_slli_epi32(raised, 23), _mm512_set1_epi32(0x400000)));
  return _mm512_sub_ps(_mm512_add_ps(values, anchor), anchor);
}

}  // namespace

void quantise_fp8_block_avx512(const float* x, uint32_t count, float* y) {
  __m512i largest = _mm512_setzero_si512();  // magnitudes as integers, of which NaN is the largest
  for (uint32_t i = 0; i < count; i += 16) {
    const __m512i bits = _mm512_maskz_loadu_epi32(lanes_below(count - i), x + i);
    largest = _mm512_max_epu32(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)), largest);
  }
  const uint8_t code = fp8_block_scale(std::bit_cast<float>(_mm512_reduce_max_epu32(largest)));
  const __m512 scale = _mm512_set1_ps(e8m0_to_f32(code));
  const __m512 inverse = _mm512_set1_ps(block_scale_reciprocal(code));
  for (uint32_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = lanes_below(count - i);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), inverse);
    const __m512 bounded = _mm512_min_ps(_mm512_set1_ps(448), _mm512_max_ps(_mm512_set1_ps(-448), scaled));
    _mm512_mask_storeu_ps(y + i, lanes, _mm512_mul_ps(round_to_e4m3(bounded), scale));
  }
}

}  // namespace nibble

#endif
