// Rounding of activations to FP8 and back.
#pragma once

#include <cstdint>

namespace nibble {

// y[r,c] = e4m3(x[r,c]/s)·s per `block` columns, s = 2^ceil(log2(max(amax, 1e-4)·f32(1/448))); the last block of a row
// may be short. Bindings: x f32 [R, cols], y f32 [R, cols], step; R = step[count_at]·rows_per_token.
struct QuantParams {
  uint32_t cols = 0;
  uint32_t block = 128;
  uint32_t count_at = 0;
  uint32_t rows_per_token = 1;
};

}  // namespace nibble
