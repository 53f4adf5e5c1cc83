// RopeTable: cosines and sines of rotary position embedding, built on the host, because fast device sin/cos are useless
// at large angles (one ulp of a frequency is 2-4 % of a turn at position 1,048,575).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nibble {

// YaRN scaling ("YaRN: Efficient Context Window Extension", section 3.2), without a magnitude factor.
struct Yarn {
  double factor = 1;
  double original_length = 4096;  // tokens
  double beta_fast = 32;
  double beta_slow = 1;
};

// Immutable; may be read by any thread. Frequencies are exact to the bit of the published reference code: f32
// throughout except the power, and the angle is the f32 product of position and frequency.
class RopeTable {
 public:
  RopeTable(uint32_t rope_dims, double theta, std::optional<Yarn> yarn = std::nullopt);

  uint32_t rope_dims() const { return static_cast<uint32_t>(2 * inv_freq_.size()); }
  // [rope_dims / 2]: radians per position.
  std::span<const float> inv_freq() const { return inv_freq_; }
  // Writes rope_dims floats: cos, sin of pair 0, cos, sin of pair 1, …
  void row(uint32_t position, float* cos_sin_interleaved) const;

 private:
  std::vector<float> inv_freq_;
};

// First and last pair of the ramp between unscaled (below) and scaled (above) frequencies.
struct YarnRamp {
  double low = 0;
  double high = 0;
};
YarnRamp yarn_ramp(uint32_t rope_dims, double theta, const Yarn& yarn);

}  // namespace nibble
