// encode_index_f32 for 16 values at a time, to the bit what encode_index_f32_cpu.cpp computes.
#if defined(__AVX512F__) && defined(__AVX512VL__)

#include <immintrin.h>

#include "runtime/base/format.h"
#include "shaders/common/kv_format.h"
#include "shaders/indexer/encode_index_f32/encode_index_f32_cpu.h"

namespace nibble {
namespace {

// Butterflies between lanes `span` apart: the lower gets a + b, the upper a - b.
__m512 butterfly(__m512 values, int span) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i bit = _mm512_set1_epi32(span);
  const __m512 others = _mm512_permutexvar_ps(_mm512_xor_si512(lane, bit), values);
  const __m512i sign = _mm512_maskz_set1_epi32(_mm512_test_epi32_mask(lane, bit), static_cast<int>(0x80000000));
  return _mm512_add_ps(others, _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(values), sign)));
}

// e2m1 codes of 16 values, ties to the even one: how many midpoints a magnitude has passed.
__m512i e2m1_codes(__m512 values) {
  const __m512 size = _mm512_abs_ps(values);
  const __m512i one = _mm512_set1_epi32(1);
  __m512i codes = _mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(values), 28), _mm512_set1_epi32(8));
  const auto pass = [&](__mmask16 passed) { codes = _mm512_mask_add_epi32(codes, passed, codes, one); };
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(0.25f), _CMP_GT_OQ));
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(0.75f), _CMP_GE_OQ));
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(1.25f), _CMP_GT_OQ));
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(1.75f), _CMP_GE_OQ));
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(2.5f), _CMP_GT_OQ));
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(3.5f), _CMP_GE_OQ));
  pass(_mm512_cmp_ps_mask(size, _mm512_set1_ps(5), _CMP_GT_OQ));
  return codes;
}

}  // namespace

void hadamard_avx512(float* values, uint32_t dim) {
  for (uint32_t i = 0; i < dim; i += 16) {
    __m512 v = _mm512_loadu_ps(values + i);
    for (int span = 1; span < 16; span *= 2) v = butterfly(v, span);
    _mm512_storeu_ps(values + i, v);
  }
  for (uint32_t span = 16; span < dim; span *= 2) {
    for (uint32_t begin = 0; begin < dim; begin += 2 * span) {
      for (uint32_t i = begin; i < begin + span; i += 16) {
        const __m512 a = _mm512_loadu_ps(values + i);
        const __m512 b = _mm512_loadu_ps(values + i + span);
        _mm512_storeu_ps(values + i, _mm512_add_ps(a, b));
        _mm512_storeu_ps(values + i + span, _mm512_sub_ps(a, b));
      }
    }
  }
}

void encode_e2m1_avx512(uint32_t* key, const float* values, float inverse) {
  for (uint32_t half = 0; half < 2; ++half) {
    const __m512i codes = e2m1_codes(_mm512_mul_ps(_mm512_loadu_ps(values + half * 16), _mm512_set1_ps(inverse)));
    // Two codes to a byte: low + 16·high.
    const __m128i pairs = _mm_maddubs_epi16(_mm512_cvtepi32_epi8(codes), _mm_set1_epi16(0x1001));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(key + half * 2), _mm_cvtepi16_epi8(pairs));
  }
}

}  // namespace nibble

#endif
