// What hc_pre and hc_head share on the host's processor. Included by one file per instruction set (see lanes_cpu.h).
#pragma once

#include <cmath>

#include "shaders/common/lanes_cpu.h"

namespace nibble {
namespace {

[[maybe_unused]] inline float hc_inverse_rms(const float* x, size_t width, float eps) {
  return 1.0f / std::sqrt(dot_lanes(x, x, width) / static_cast<float>(width) + eps);
}

// mixes[t·rows + m] = (x[t]·fn[m])·rsqrt(mean(x[t]²) + eps), m < rows; x [T, width]. Several tokens share what is
// loaded of fn, which the first cache does not hold.
template <size_t T>
inline void hc_mixes(float* mixes, const float* x, const float* fn, size_t width, size_t rows, float eps) {
  float inverse_rms[T];
  for (size_t t = 0; t < T; ++t) inverse_rms[t] = hc_inverse_rms(x + t * width, width, eps);
  for (size_t m = 0; m < rows; ++m) {
    float sums[T];
    dot_rows<T>(sums, x, width, fn + m * width, width);
    for (size_t t = 0; t < T; ++t) mixes[t * rows + m] = sums[t] * inverse_rms[t];
  }
}

// out = RMSNorm(Σ_j pre[j]·x[j]; norm); x [copies, cols].
[[maybe_unused]] inline void hc_collapse(float* out, const float* pre, const float* x, const float* norm, size_t copies,
                                         size_t cols, float eps) {
  std::memset(out, 0, cols * sizeof(float));
  for (size_t j = 0; j < copies; ++j) add_scaled(out, pre[j], x + j * cols, cols);
  const float inverse_rms = hc_inverse_rms(out, cols, eps);
  for (size_t d = 0; d < cols; ++d) out[d] = norm[d] * (out[d] * inverse_rms);
}

[[maybe_unused]] inline float hc_sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace
}  // namespace nibble
