// hc_pre_f32 from the sums that hc_mix_parts_f32 made of the same copies.
#pragma once

#include "shaders/hyper/hc_mix_parts_f32/hc_mix_parts_f32.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"

namespace nibble {

// As hc_pre_f32 with X·fnᵀ and ΣX² = Σ_i part_sums[t, i].
// Bindings: X f32 [T, C, D], part_sums f32 [T, parts, 2C + C² + 1], base f32 [2C + C²], scale f32 [3], norm f32 [D],
// x f32 [T, D], post f32 [T, C], comb f32 [T, C (source), C (target)], step.
struct HcPreJoinParams {
  HcPreParams pre;
  uint32_t parts = 0;  // parts·(2C + C² + 1) is at most kHcMostSums
};

}  // namespace nibble
