// compress_pool_f32 for 16 columns at a time: the largest score of a column first, so that each row takes one exp.
#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include "shaders/common/exp2_cpu.h"
#include "shaders/compressor/compress_pool_f32/compress_pool_f32_cpu.h"

namespace nibble {
namespace {

void pool_tile(float* y, const PoolWindow& window, uint32_t first, uint32_t columns) {
  for (uint32_t c = 0; c < columns; c += 16) {
    const auto lanes = static_cast<__mmask16>(columns - c >= 16 ? 0xffff : (1u << (columns - c)) - 1);
    const auto load = [lanes](const float* from) { return _mm512_maskz_loadu_ps(lanes, from); };
    __m512 largest = _mm512_set1_ps(-3.0e38f);
    window.each_row(first + c, [&](const float*, const float* z, const float* ape) {
      largest = _mm512_max_ps(largest, _mm512_add_ps(load(z), load(ape)));
    });
    __m512 total = _mm512_setzero_ps();
    __m512 sum = _mm512_setzero_ps();
    window.each_row(first + c, [&](const float* a, const float* z, const float* ape) {
      const __m512 below = _mm512_sub_ps(_mm512_add_ps(load(z), load(ape)), largest);
      const __m512 weight = exp2_of(_mm512_mul_ps(below, _mm512_set1_ps(kLog2e)));
      total = _mm512_add_ps(total, weight);
      sum = _mm512_fmadd_ps(weight, load(a), sum);
    });
    _mm512_mask_storeu_ps(y + c, lanes, _mm512_div_ps(sum, total));
  }
}

}  // namespace

CpuKernel compress_pool_f32_avx512() {
  return {.kernel = "compress_pool_f32",
          .variant = "avx512",
          .isa = CpuIsa::kAvx512,
          .items = compress_pool_items,
          .run = compress_pool_run<pool_tile>};
}

}  // namespace nibble

#endif
