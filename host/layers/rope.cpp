#include "host/layers/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// The pair whose wavelength makes `rotations` turns over the original length.
double correction_pair(uint32_t rope_dims, double theta, double rotations, double original_length) {
  return rope_dims * std::log(original_length / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

}  // namespace

YarnRamp yarn_ramp(uint32_t rope_dims, double theta, const Yarn& yarn) {
  return {
      .low = std::max(std::floor(correction_pair(rope_dims, theta, yarn.beta_fast, yarn.original_length)), 0.0),
      .high =
          std::min(std::ceil(correction_pair(rope_dims, theta, yarn.beta_slow, yarn.original_length)), rope_dims - 1.0),
  };
}

RopeTable::RopeTable(uint32_t rope_dims, double theta, std::optional<Yarn> yarn) : inv_freq_(rope_dims / 2) {
  if (rope_dims == 0 || rope_dims % 2 != 0) {
    fail(ErrorCode::kInvalidFile, "qk_rope_head_dim is {}, expected a positive even number", rope_dims);
  }
  if (!(theta > 1)) fail(ErrorCode::kInvalidFile, "rope_theta is {}, expected a number above 1", theta);
  for (size_t i = 0; i < inv_freq_.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rope_dims);
    inv_freq_[i] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  if (!yarn) return;
  const auto [low, high] = yarn_ramp(rope_dims, theta, *yarn);
  const auto width = static_cast<float>(std::max(high - low, 0.001));
  const auto factor = static_cast<float>(yarn->factor);
  for (size_t i = 0; i < inv_freq_.size(); ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - static_cast<float>(low)) / width, 0.0f, 1.0f);
    inv_freq_[i] = inv_freq_[i] / factor * ramp + inv_freq_[i] * (1.0f - ramp);
  }
}

void RopeTable::row(uint32_t position, float* cos_sin_interleaved) const {
  for (size_t i = 0; i < inv_freq_.size(); ++i) {
    const double angle = static_cast<float>(position) * inv_freq_[i];  // rounded to f32 before the sine
    cos_sin_interleaved[2 * i] = static_cast<float>(std::cos(angle));
    cos_sin_interleaved[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace nibble
