// The cpu implementations that the three kernels of this family share.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "shaders/common/weight_dot_cpu.h"
#include "shaders/linear/gemm/gemm.h"
#include "shaders/linear/gemm/gemm_cpu_common.h"
#include "shaders/linear/gemm/gemm_packed_cpu.h"

namespace nibble {

// 32 rows: of 4096 fp8 columns they are 128 KiB and stay in L2 while all tokens pass.
inline constexpr uint32_t kGemmCpuRows = 32;

inline uint64_t gemm_cpu_items(const CpuArgs& args) {
  if (args.count(args.get<GemmParams>().count_at) == 0) return 0;
  return (args.get<GemmParams>().rows + kGemmCpuRows - 1) / kGemmCpuRows;
}

// Rows [begin, end) of the dispatch, all of one group, times every row of x.
template <WeightFormat kFormat, CpuIsa kIsa>
void gemm_cpu_rows(const CpuArgs& args, const GemmParams& p, uint32_t begin, uint32_t end) {
  const uint32_t group = p.group_rows == 0 ? 0 : (p.row_begin + begin) / p.group_rows;
  const auto* x = args.bindings[0].as<const float>() + size_t{group} * p.cols;
  auto* y = args.bindings[has_scales(kFormat) ? 3 : 2].as<float>() + p.y_offset;
  const WeightBlock block = gemm_weight_block<kFormat>(args, p, begin, end);
  const uint32_t count = args.count(p.count_at) * p.rows_per_token;
  float sums[kGemmCpuRows * kMaxDotTokens];
  for (uint32_t first = 0; first < count; first += kMaxDotTokens) {
    const uint32_t tokens = std::min(kMaxDotTokens, count - first);
    const float* rows_of_x[kMaxDotTokens];
    for (uint32_t t = 0; t < tokens; ++t) rows_of_x[t] = x + size_t{first + t} * p.x_stride;
    weight_dot<kFormat, kIsa>(block, rows_of_x, tokens, sums);
    for (uint32_t t = 0; t < tokens; ++t) {
      float* to = y + size_t{first + t} * p.y_stride + begin;
      for (uint32_t r = 0; r < block.rows; ++r) {
        const float sum = sums[r * kMaxDotTokens + t];
        to[r] = p.accumulate != 0 ? to[r] + sum : sum;
      }
    }
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
void gemm_cpu_run(const CpuArgs& args, uint64_t item_begin, uint64_t item_end) {
  const auto p = args.get<GemmParams>();
  const uint32_t end = std::min(p.rows, static_cast<uint32_t>(item_end) * kGemmCpuRows);
  const uint32_t row = static_cast<uint32_t>(item_begin) * kGemmCpuRows;
  for_each_gemm_piece(p, row, end, kGemmCpuRows,
                      [&](uint32_t first, uint32_t last) { gemm_cpu_rows<kFormat, kIsa>(args, p, first, last); });
}

template <WeightFormat kFormat>
std::vector<CpuKernel> gemm_cpu_kernels(std::string_view name) {
  std::vector<CpuKernel> kernels = {
      {name, "cpp", CpuIsa::kBaseline, gemm_cpu_items, gemm_cpu_run<kFormat, CpuIsa::kBaseline>}};
  if constexpr (kHasX86Simd) {
    kernels.push_back({name, "avx2", CpuIsa::kAvx2, gemm_cpu_items, gemm_cpu_run<kFormat, CpuIsa::kAvx2>});
    kernels.push_back(gemm_packed<kFormat, CpuIsa::kAvx512>(name));
    kernels.push_back(gemm_packed<kFormat, CpuIsa::kAvx512Dot>(name));
  }
  return kernels;
}

}  // namespace nibble
