#include <cmath>

#include "shaders/hyper/hc_pre_f32/hc_pre_f32_cpu.h"
#include "shaders/hyper/hc_pre_join_f32/hc_pre_join_f32.h"

namespace nibble {
namespace {

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto params = args.get<HcPreJoinParams>();
  const HcPreParams& p = params.pre;
  const size_t rows = size_t{p.copies} * (p.copies + 2);
  const CpuHcInputs in = hc_pre_inputs(args);
  for (uint64_t t = begin; t < end; ++t) {
    const float* sums = args.bindings[1].as<float>() + t * params.parts * (rows + 1);
    float mixes[kMaxHcCopies * (kMaxHcCopies + 2) + 1] = {};
    for (size_t i = 0; i < params.parts; ++i) {
      for (size_t m = 0; m <= rows; ++m) mixes[m] += sums[i * (rows + 1) + m];
    }
    const float inverse_rms = 1.0f / std::sqrt(mixes[rows] / static_cast<float>(p.copies * p.cols) + p.norm_eps);
    for (size_t m = 0; m < rows; ++m) mixes[m] *= inverse_rms;
    hc_pre_finish(args, p, mixes, in, 5, t);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::hc_pre_join_f32() {
  return {{.kernel = "hc_pre_join_f32", .variant = "cpp", .items = hc_pre_items, .run = run}};
}

}  // namespace nibble
