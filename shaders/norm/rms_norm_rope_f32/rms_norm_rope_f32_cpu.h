// rms_norm_rope_f32 on the host's processor; compiled once per instruction set.
#pragma once

#include <bit>
#include <cmath>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/lanes_cpu.h"
#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32.h"

namespace nibble {

CpuKernel rms_norm_rope_f32_avx512();

namespace {

uint32_t rows_per_table_row(const RmsNormRopeParams& p) { return p.ratio == 0 ? p.rows_per_token : 1; }

uint64_t rms_norm_rope_items(const CpuArgs& args) {
  const auto p = args.get<RmsNormRopeParams>();
  const uint64_t turns = p.ratio != 0 ? GridDim::entries(p.ratio).evaluate(args.step) : args.count(p.count_at);
  return turns * rows_per_table_row(p);
}

void rms_norm_rope_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<RmsNormRopeParams>();
  const float* weight = args.bindings[1].as<float>();
  for (uint64_t r = begin; r < end; ++r) {
    const float* x = args.bindings[0].as<float>() + r * p.cols;
    float* y = args.bindings[2].as<float>() + r * p.cols;
    float scale = 1;
    if (p.norm_mode != kNormNone) {
      scale = 1.0f / std::sqrt(dot_lanes(x, x, p.cols) / static_cast<float>(p.cols) + p.eps);
    }
    for (uint32_t c = 0; c < p.cols; ++c) y[c] = x[c] * scale;
    if (p.norm_mode == kNormWeighted) {
      for (uint32_t c = 0; c < p.cols; ++c) y[c] *= weight[c];
    }
    if (p.rope == 0) continue;
    const uint32_t* table = args.step_words.data() + p.rope_at + r / rows_per_table_row(p) * p.rope;
    float* turned = y + p.cols - p.rope;
    for (uint32_t i = 0; i < p.rope; i += 2) {
      const float cosine = std::bit_cast<float>(table[i]);
      const float sine = std::bit_cast<float>(table[i + 1]);
      const float even = turned[i];
      const float odd = turned[i + 1];
      turned[i] = even * cosine - odd * sine;
      turned[i + 1] = even * sine + odd * cosine;
    }
  }
}

}  // namespace
}  // namespace nibble
