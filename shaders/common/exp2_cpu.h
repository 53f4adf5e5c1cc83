// The exponential of softmax weights with AVX-512. Included only by per-ISA files.
#pragma once

#include <immintrin.h>

#include <initializer_list>

namespace nibble {
namespace {

constexpr float kLog2e = 1.44269504f;

// 2^x for x <= 0 to an ulp or two; below 2^-126 it goes to zero by way of subnormals.
inline __m512 exp2_of(__m512 x) {
  const __m512 bounded = _mm512_max_ps(_mm512_set1_ps(-150), x);  // NaN stays NaN: max returns its second operand
  const __m512 whole = _mm512_roundscale_ps(bounded, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(bounded, whole);
  // Taylor series of 2^f in f·ln 2 up to the 7th power: the rest is below 2^-27 for |f| <= 1/2.
  __m512 y = _mm512_set1_ps(1.52527338e-5f);
  for (const float c :
       {1.54035304e-4f, 1.33335581e-3f, 9.61812911e-3f, 5.55041087e-2f, 2.40226507e-1f, 6.93147181e-1f, 1.0f}) {
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(c));
  }
  return _mm512_scalef_ps(y, whole);
}

// 2^(before - largest): what a softmax leaves of its sums when something larger comes. 1 where nothing larger did, also
// where both are infinite.
inline __m512 kept_of(__m512 before, __m512 largest) {
  const __mmask16 same = _mm512_cmp_ps_mask(before, largest, _CMP_EQ_OQ);
  return _mm512_mask_mov_ps(exp2_of(_mm512_sub_ps(before, largest)), same, _mm512_set1_ps(1));
}

}  // namespace
}  // namespace nibble
