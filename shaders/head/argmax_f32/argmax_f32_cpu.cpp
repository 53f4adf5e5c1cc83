#include <limits>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/head/argmax_f32/argmax_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_logits; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const uint32_t cols = args.get<ArgmaxParams>().cols;
  for (uint64_t row = begin; row < end; ++row) {
    const float* logits = args.bindings[0].as<const float>() + row * cols;
    float best = -std::numeric_limits<float>::infinity();
    uint32_t index = 0;
    for (uint32_t c = 0; c < cols; ++c) {
      if (!(logits[c] > best)) continue;  // NaN is never larger
      best = logits[c];
      index = c;
    }
    args.bindings[1].as<uint32_t>()[row] = index;
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::argmax_f32() { return {{"argmax_f32", "cpp", CpuIsa::kBaseline, items, run}}; }

}  // namespace nibble
