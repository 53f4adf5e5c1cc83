#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/lanes_cpu.h"
#include "shaders/hyper/hc_mix_parts_f32/hc_mix_parts_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return uint64_t{args.step.n_tokens} * args.get<HcMixPartsParams>().parts; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcMixPartsParams>();
  const size_t length = (size_t{p.width} + p.parts - 1) / p.parts;
  for (uint64_t item = begin; item < end; ++item) {
    const size_t first = std::min<size_t>(item % p.parts * length, p.width);
    const size_t count = std::min<size_t>(length, p.width - first);
    const float* x = args.bindings[0].as<float>() + item / p.parts * p.width + first;
    const float* fn = args.bindings[1].as<float>() + first;
    float* sums = args.bindings[2].as<float>() + item * (p.rows + 1);
    for (size_t m = 0; m < p.rows; ++m) sums[m] = dot_lanes(x, fn + m * p.width, count);
    sums[p.rows] = dot_lanes(x, x, count);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::hc_mix_parts_f32() {
  return {{.kernel = "hc_mix_parts_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
