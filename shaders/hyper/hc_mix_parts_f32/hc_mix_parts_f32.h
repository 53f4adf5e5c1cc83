// Hyper-connections of a few tokens on a device that one workgroup a token would leave empty: the sums over a token's
// copies, by parts of the columns; hc_pre_join_f32 goes on from there.
#pragma once

#include <cstdint>

namespace nibble {

// part_sums[t, i, m] = Σ_c X[t, c]·fn[m, c] for m < rows, and part_sums[t, i, rows] = Σ_c X[t, c]², c over part i of
// the columns: ceil(width / parts) of them, the last part may be short or empty. Bindings: X f32 [T, width], fn f32
// [rows, width], part_sums f32 [T, parts, rows + 1], step.
struct HcMixPartsParams {
  uint32_t width = 0;
  uint32_t rows = 0;
  uint32_t parts = 0;  // parts·(rows + 1) is at most kHcMostSums
};

inline constexpr uint32_t kHcMostSums = 1024;

}  // namespace nibble
