#include "runtime/cpu/cpu_kernel.h"
#include "shaders/hyper/add_broadcast_f32/add_broadcast_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return uint64_t{args.step.n_tokens} * args.get<AddParams>().copies; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<AddParams>();
  for (uint64_t row = begin; row < end; ++row) {
    const float* a = args.bindings[0].as<const float>() + row * p.cols;
    const float* b = args.bindings[1].as<const float>() + row / p.copies * p.cols;
    float* x = args.bindings[2].as<float>() + row * p.cols;
    for (uint32_t c = 0; c < p.cols; ++c) x[c] = a[c] + b[c];
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::add_broadcast_f32() {
  return {{"add_broadcast_f32", "cpp", CpuIsa::kBaseline, items, run}};
}

}  // namespace nibble
