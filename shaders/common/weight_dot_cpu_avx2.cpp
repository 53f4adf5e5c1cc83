// weight_dot for AVX2 with FMA and F16C: 8 columns a step.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "shaders/common/weight_rows_cpu_avx2.h"
#include "shaders/formats/bf16/bf16_cpu_avx2.h"
#include "shaders/formats/f32/f32_cpu_avx2.h"
#include "shaders/formats/fp4/fp4_cpu_avx2.h"
#include "shaders/formats/fp8/fp8_cpu_avx2.h"

// Works with the types above.
#include "shaders/common/weight_dot_cpu_simd.h"

namespace nibble {

#define NIBBLE_WEIGHT_DOT(format)                                                                               \
  template <>                                                                                                   \
  void weight_dot<format, CpuIsa::kAvx2>(const WeightBlock& b, const float* const* x, uint32_t t, float* out) { \
    if (is_usual<format>(b)) return dot_rows<format>(b, x, t, out);                                             \
    weight_dot<format, CpuIsa::kBaseline>(b, x, t, out);                                                        \
  }
NIBBLE_WEIGHT_DOT(WeightFormat::kFp4)
NIBBLE_WEIGHT_DOT(WeightFormat::kFp8)
NIBBLE_WEIGHT_DOT(WeightFormat::kBf16)
NIBBLE_WEIGHT_DOT(WeightFormat::kF32)
#undef NIBBLE_WEIGHT_DOT

}  // namespace nibble

#endif
