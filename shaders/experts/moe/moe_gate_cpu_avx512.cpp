// The gated product of an expert, 16 at a time: a scalar exp takes as long as 300 of the multiplications before it.
#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>

#include "shaders/experts/moe/moe_cpu_common.h"

namespace nibble {
namespace {

// e^x to one ulp: 2^n·e^r with |r| <= ln(2)/2 and a Taylor polynomial of degree 7, whose error there is 6e-9. Overflows
// to infinity and underflows gradually, as scalef does; bounded first, as n·ln(2) of a huge x is infinite.
__m512 exp(__m512 x) {
  x = _mm512_min_ps(_mm512_set1_ps(200), _mm512_max_ps(_mm512_set1_ps(-200), x));  // NaN stays: it is the second
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);  // ln(2) in two parts; the first has 15 bits
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
  __m512 p = _mm512_set1_ps(1.0f / 5040);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

}  // namespace

void moe_gate_avx512(const float* gates, const float* ups, uint32_t count, float limit, float weight, float* h) {
  const __m512 most = _mm512_set1_ps(limit);
  const __m512 least = _mm512_set1_ps(-limit);
  for (uint32_t i = 0; i < count; i += 16) {
    const auto lanes = static_cast<__mmask16>(count - i >= 16 ? 0xffff : (1u << (count - i)) - 1);
    // min and max return their second operand where one is NaN, which keeps it visible.
    const __m512 gate = _mm512_min_ps(most, _mm512_maskz_loadu_ps(lanes, gates + i));
    const __m512 up = _mm512_max_ps(least, _mm512_min_ps(most, _mm512_maskz_loadu_ps(lanes, ups + i)));
    const __m512 minus = _mm512_xor_ps(gate, _mm512_set1_ps(-0.0f));
    const __m512 silu = _mm512_div_ps(gate, _mm512_add_ps(_mm512_set1_ps(1.0f), exp(minus)));
    _mm512_mask_storeu_ps(h + i, lanes, _mm512_mul_ps(_mm512_mul_ps(silu, up), _mm512_set1_ps(weight)));
  }
}

}  // namespace nibble

#endif
