// How a gemm dispatch is cut on the host's processor, whatever its inner kernel.
#pragma once

#include <algorithm>
#include <cstdint>

#include "shaders/common/weight_dot_cpu.h"
#include "shaders/linear/gemm/gemm.h"

namespace nibble {

// Rows [begin, end) of the dispatch as the inner kernels take them.
template <WeightFormat kFormat>
WeightBlock gemm_weight_block(const CpuArgs& args, const GemmParams& p, uint32_t begin, uint32_t end) {
  return {.codes = args.bindings[1].views[0] + begin * weight_row_bytes(kFormat, p.cols),
          .scales = has_scales(kFormat) ? args.bindings[2].views[0] : nullptr,
          .scale_row = p.row_begin + begin,
          .rows = end - begin,
          .cols = p.cols};
}

// Calls f(begin, end) for pieces of [row, end) of at most `most` rows, each of one group.
template <typename F>
void for_each_gemm_piece(const GemmParams& p, uint32_t row, uint32_t end, uint32_t most, F&& f) {
  while (row < end) {
    uint32_t next = std::min(end, row + most);
    if (p.group_rows != 0) {
      const uint32_t group_end = ((p.row_begin + row) / p.group_rows + 1) * p.group_rows - p.row_begin;
      next = std::min(next, group_end);
    }
    f(row, next);
    row = next;
  }
}

}  // namespace nibble
