// What the implementations of this family for the host's processor share: slabs, sorting, the gated product.
#pragma once

#include <algorithm>
#include <cmath>

#include "shaders/common/weight_dot_cpu.h"
#include "shaders/experts/moe/moe.h"
#include "shaders/experts/moe/sorted_pairs_cpu.h"

namespace nibble {

// Rows [row, row + most) of an expert's matrix, fewer at its end; `codes` and `scales` are the slab bindings.
template <WeightFormat kFormat>
WeightBlock moe_rows(const CpuBinding& codes, const CpuBinding& scales, uint32_t item, uint32_t rows, uint32_t cols,
                     uint32_t row, uint32_t most) {
  const size_t row_bytes = weight_row_bytes(kFormat, cols);
  const size_t scale_bytes = bound_scale_bytes(kFormat, rows, cols);
  return {.codes = codes.item(item, rows * row_bytes) + row * row_bytes,
          .scales = scales.item(item, scale_bytes),
          .scale_row = row,
          .rows = std::min(most, rows - row),
          .cols = cols};
}

// P is MoeUpParams or MoeDownParams.
template <typename P>
uint64_t moe_pairs(const CpuArgs& args) {
  return uint64_t{args.step.n_tokens} * args.get<P>().k;
}

template <typename P>
void moe_sort_pairs(const CpuArgs& args) {
  const auto p = args.get<P>();
  write_sorted_pairs({args.bindings[1].as<const uint32_t>(), moe_pairs<P>(args)}, p.expert_begin, p.expert_end,
                     args.scratch);
}

inline float moe_swiglu(float gate, float up, float limit) {
  const float g = std::min(gate, limit);
  return g / (1.0f + std::exp(-g)) * std::clamp(up, -limit, limit);
}

// h[i] = moe_swiglu(gates[i], ups[i], limit)·weight, i < count; in moe_gate_cpu_avx512.cpp.
void moe_gate_avx512(const float* gates, const float* ups, uint32_t count, float limit, float weight, float* h);

}  // namespace nibble
