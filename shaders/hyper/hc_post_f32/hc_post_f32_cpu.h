// hc_post_f32 on the host's processor; compiled once per instruction set.
#pragma once

#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/lanes_cpu.h"
#include "shaders/hyper/hc_post_f32/hc_post_f32.h"

namespace nibble {

CpuKernel hc_post_f32_avx512();

namespace {

constexpr uint32_t kHcPostTile = 256;  // columns of one item: 8 copies of them are 8 KiB, they stay in the first cache

uint64_t hc_post_items(const CpuArgs& args) {
  const auto p = args.get<HcPostParams>();
  return uint64_t{args.step.n_tokens} * ((p.cols + kHcPostTile - 1) / kHcPostTile);
}

void hc_post_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcPostParams>();
  const uint64_t tiles = (p.cols + kHcPostTile - 1) / kHcPostTile;
  float sums[8 * kHcPostTile];
  for (uint64_t item = begin; item < end; ++item) {
    const uint64_t t = item / tiles;
    const uint64_t first = item % tiles * kHcPostTile;
    const size_t width = std::min<uint64_t>(kHcPostTile, p.cols - first);
    const float* f = args.bindings[0].as<float>() + t * p.cols + first;
    const float* post = args.bindings[1].as<float>() + t * p.copies;
    const float* comb = args.bindings[2].as<float>() + t * p.copies * p.copies;
    float* streams = args.bindings[3].as<float>() + t * p.copies * p.cols + first;
    for (uint32_t k = 0; k < p.copies; ++k) {
      float* sum = sums + k * kHcPostTile;
      for (size_t d = 0; d < width; ++d) sum[d] = post[k] * f[d];
      for (uint32_t j = 0; j < p.copies; ++j) {
        add_scaled(sum, comb[j * p.copies + k], streams + size_t{j} * p.cols, width);
      }
    }
    for (uint32_t k = 0; k < p.copies; ++k) std::copy_n(sums + k * kHcPostTile, width, streams + size_t{k} * p.cols);
  }
}

}  // namespace
}  // namespace nibble
