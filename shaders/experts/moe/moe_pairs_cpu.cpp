// moe_pairs on the host's processor. A session on the cpu runs moe_down instead, which needs no result per pair: this
// is what tests and reports compare devices with.
#include <algorithm>

#include "shaders/common/weight_dot_cpu.h"
#include "shaders/experts/moe/moe.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.bindings[3].as<const uint32_t>()[0]; }

template <WeightFormat kFormat>
void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<MoePairsParams>();
  const auto* h = args.bindings[0].as<const float>();
  const auto* tiles = args.bindings[3].as<const uint32_t>();
  auto* out = args.bindings[4].as<float>();
  const size_t scale_bytes = bound_scale_bytes(kFormat, p.rows, p.cols);
  for (uint64_t tile = begin; tile < end; ++tile) {
    const uint32_t expert = tiles[4 + 4 * tile];
    if (expert < p.expert_begin || expert >= p.expert_end) continue;
    const uint32_t item = expert - p.expert_begin;
    const uint32_t* pairs = tiles + p.order_at + tiles[4 + 4 * tile + 1];
    const uint32_t count = tiles[4 + 4 * tile + 2];
    for (uint32_t row = 0; row < p.rows; ++row) {
      const WeightBlock w2{.codes = args.bindings[1].item(item, p.rows * weight_row_bytes(kFormat, p.cols)) +
                                    row * weight_row_bytes(kFormat, p.cols),
                           .scales = args.bindings[2].item(item, scale_bytes),
                           .scale_row = row,
                           .rows = 1,
                           .cols = p.cols};
      for (uint32_t first = 0; first < count; first += kMaxDotTokens) {
        const uint32_t tokens = std::min(kMaxDotTokens, count - first);
        const float* rows_of_h[kMaxDotTokens];
        for (uint32_t t = 0; t < tokens; ++t) rows_of_h[t] = h + size_t{pairs[first + t]} * p.cols;
        float sums[kMaxDotTokens];
        weight_dot<kFormat, CpuIsa::kBaseline>(w2, rows_of_h, tokens, sums);
        for (uint32_t t = 0; t < tokens; ++t) out[size_t{pairs[first + t]} * p.rows + row] = sums[t];
      }
    }
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::moe_pairs_fp4_f32() {
  return {{"moe_pairs_fp4_f32", "cpp", CpuIsa::kBaseline, items, run<WeightFormat::kFp4>}};
}

std::vector<CpuKernel> cpu_kernels::moe_pairs_fp8_f32() {
  return {{"moe_pairs_fp8_f32", "cpp", CpuIsa::kBaseline, items, run<WeightFormat::kFp8>}};
}

}  // namespace nibble
