// gemm over packed activations (shaders/common/packed_dot_cpu.h), packed once per dispatch.
#pragma once

#include <algorithm>
#include <string_view>

#include "shaders/common/packed_dot_cpu.h"
#include "shaders/linear/gemm/gemm.h"
#include "shaders/linear/gemm/gemm_cpu_common.h"

namespace nibble {

// Rows of one item: for few tokens small items, so that all threads get some of a small matrix.
inline uint32_t gemm_packed_item_rows(uint32_t rows_of_x) { return rows_of_x <= 8 ? 16 : kPackedRows; }

// The groups of rows of W that a dispatch touches: each takes other columns of x.
struct GemmGroups {
  explicit GemmGroups(const GemmParams& p)
      : first(p.group_rows == 0 ? 0 : p.row_begin / p.group_rows),
        count(p.group_rows == 0 ? 1 : (p.row_begin + p.rows - 1) / p.group_rows - first + 1) {}
  uint32_t first;
  uint32_t count;
};

inline uint32_t gemm_rows_of_x(const CpuArgs& args, const GemmParams& p) {
  return args.count(p.count_at) * p.rows_per_token;
}

inline uint64_t gemm_packed_items(const CpuArgs& args) {
  const auto p = args.get<GemmParams>();
  const uint32_t count = gemm_rows_of_x(args, p);
  const uint32_t rows = gemm_packed_item_rows(count);
  return count == 0 ? 0 : (p.rows + rows - 1) / rows;
}

inline uint64_t gemm_prepare_items(const CpuArgs& args) {
  const auto p = args.get<GemmParams>();
  return uint64_t{gemm_rows_of_x(args, p)} * GemmGroups(p).count;
}

template <WeightFormat kFormat, CpuIsa kIsa>
const PackedDot& gemm_packed_dot(const GemmParams& p) {
  return packed_dot<kFormat, kIsa>(static_cast<XKind>(p.x_kind));
}

template <WeightFormat kFormat, CpuIsa kIsa>
uint64_t gemm_scratch_bytes(const CpuArgs& args) {
  const auto p = args.get<GemmParams>();
  return gemm_prepare_items(args) * gemm_packed_dot<kFormat, kIsa>(p).packed_bytes(p.cols);
}

// Scratch: for each group, the packed rows of x.
template <WeightFormat kFormat, CpuIsa kIsa>
void gemm_prepare(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<GemmParams>();
  const GemmGroups groups(p);
  const PackedDot& dot = gemm_packed_dot<kFormat, kIsa>(p);
  const uint32_t count = gemm_rows_of_x(args, p);
  for (uint64_t item = begin; item < end; ++item) {
    const auto* x = args.bindings[0].as<const float>() + item % count * p.x_stride;
    dot.pack(x + (groups.first + item / count) * p.cols, p.cols, args.scratch.data() + item * dot.packed_bytes(p.cols));
  }
}

// Rows [begin, end) of the dispatch, at most kPackedRows and all of one group, times every row of x.
template <WeightFormat kFormat, CpuIsa kIsa>
void gemm_packed_rows(const CpuArgs& args, const GemmParams& p, uint32_t begin, uint32_t end) {
  const PackedDot& dot = gemm_packed_dot<kFormat, kIsa>(p);
  const uint32_t group = p.group_rows == 0 ? 0 : (p.row_begin + begin) / p.group_rows - GemmGroups(p).first;
  const size_t packed_bytes = dot.packed_bytes(p.cols);
  const uint32_t count = gemm_rows_of_x(args, p);
  const std::byte* packed = args.scratch.data() + size_t{group} * count * packed_bytes;
  auto* y = args.bindings[has_scales(kFormat) ? 3 : 2].as<float>() + p.y_offset;
  const WeightBlock block = gemm_weight_block<kFormat>(args, p, begin, end);
  float sums[kPackedTokens * kPackedRows];
  for (uint32_t first = 0; first < count; first += kPackedTokens) {
    const uint32_t tokens = std::min(kPackedTokens, count - first);
    const std::byte* x[kPackedTokens];
    for (uint32_t t = 0; t < tokens; ++t) x[t] = packed + (first + t) * packed_bytes;
    dot.multiply(block, x, tokens, sums);
    for (uint32_t t = 0; t < tokens; ++t) {
      float* to = y + size_t{first + t} * p.y_stride + begin;
      for (uint32_t r = 0; r < block.rows; ++r) {
        const float sum = sums[t * kPackedRows + r];
        to[r] = p.accumulate != 0 ? to[r] + sum : sum;
      }
    }
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
void gemm_packed_run(const CpuArgs& args, uint64_t item_begin, uint64_t item_end) {
  const auto p = args.get<GemmParams>();
  const uint32_t item_rows = gemm_packed_item_rows(gemm_rows_of_x(args, p));
  const uint32_t end = std::min(p.rows, static_cast<uint32_t>(item_end) * item_rows);
  const uint32_t row = static_cast<uint32_t>(item_begin) * item_rows;
  for_each_gemm_piece(p, row, end, kPackedRows,
                      [&](uint32_t first, uint32_t last) { gemm_packed_rows<kFormat, kIsa>(args, p, first, last); });
}

template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel gemm_packed(std::string_view name) {
  return {.kernel = name,
          .variant = packed_variant(kIsa),
          .isa = kIsa,
          .items = gemm_packed_items,
          .run = gemm_packed_run<kFormat, kIsa>,
          .scratch_bytes = gemm_scratch_bytes<kFormat, kIsa>,
          .prepare_items = gemm_prepare_items,
          .prepare = gemm_prepare<kFormat, kIsa>};
}

}  // namespace nibble
