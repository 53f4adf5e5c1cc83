// RMS normalisation and rotary position embedding of rows, each of them optional.
#pragma once

#include <cstdint>

namespace nibble {

inline constexpr uint32_t kNormNone = 0;
inline constexpr uint32_t kNormPlain = 1;     // divided by the RMS, no weight
inline constexpr uint32_t kNormWeighted = 2;  // times weight

// y[r] = rope(norm(x[r])); rope turns the last `rope` elements as interleaved pairs by the row's table.
// Bindings: x f32 [R, cols], weight f32 [cols] (any buffer without norm_mode 2), y f32 [R, cols], step.
// ratio 0: R = step[count_at]·rows_per_token, table row = r / rows_per_token.
// ratio n: R = compressed entries that the chunk completes, table row = r.
struct RmsNormRopeParams {
  uint32_t cols = 0;
  uint32_t rope = 0;     // 0 = no rotation
  uint32_t rope_at = 0;  // step word of the table [rows, rope]: cos, sin interleaved
  uint32_t norm_mode = 0;
  uint32_t rows_per_token = 1;
  uint32_t ratio = 0;
  float eps = 0;
  uint32_t count_at = 0;
};

}  // namespace nibble
