#include "shaders/common/weight_dot_cpu.h"

#include <algorithm>

#include "shaders/formats/bf16/bf16_cpu.h"
#include "shaders/formats/f32/f32_cpu.h"
#include "shaders/formats/fp4/fp4_cpu.h"
#include "shaders/formats/fp8/fp8_cpu.h"

namespace nibble {
namespace {

constexpr uint32_t kSegment = 128;  // columns decoded at a time: 512 bytes, and one fp8 block

// Eight accumulators: the order of additions is fixed and a vectorising compiler may keep them in one register.
float dot(const float* a, const float* b, uint32_t count) {
  float sums[8] = {};
  uint32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (uint32_t lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < count; ++i) sums[i % 8] += a[i] * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

template <WeightFormat kFormat>
void dot_rows(const WeightBlock& block, const float* const* x, uint32_t tokens, float* out) {
  float decoded[kSegment];
  for (uint32_t r = 0; r < block.rows; ++r) {
    float* sums = out + r * kMaxDotTokens;
    std::fill(sums, sums + tokens, 0.0f);
    for (uint32_t begin = 0; begin < block.cols; begin += kSegment) {
      const uint32_t count = std::min(kSegment, block.cols - begin);
      decode_columns<kFormat>(block, r, begin, count, decoded);
      for (uint32_t t = 0; t < tokens; ++t) sums[t] += dot(decoded, x[t] + begin, count);
    }
  }
}

}  // namespace

template <>
void weight_dot<WeightFormat::kFp4, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                       float* out) {
  dot_rows<WeightFormat::kFp4>(b, x, t, out);
}
template <>
void weight_dot<WeightFormat::kFp8, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                       float* out) {
  dot_rows<WeightFormat::kFp8>(b, x, t, out);
}
template <>
void weight_dot<WeightFormat::kBf16, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                        float* out) {
  dot_rows<WeightFormat::kBf16>(b, x, t, out);
}
template <>
void weight_dot<WeightFormat::kF32, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                       float* out) {
  dot_rows<WeightFormat::kF32>(b, x, t, out);
}

}  // namespace nibble
