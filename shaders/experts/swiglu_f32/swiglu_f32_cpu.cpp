#include <algorithm>
#include <cmath>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/experts/swiglu_f32/swiglu_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_tokens; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<SwigluParams>();
  const auto* g = args.bindings[0].as<const float>();
  const auto* u = args.bindings[1].as<const float>();
  auto* h = args.bindings[2].as<float>();
  for (uint64_t i = begin * p.cols; i < end * p.cols; ++i) {
    const float gate = std::min(g[i], p.limit);
    h[i] = gate / (1.0f + std::exp(-gate)) * std::clamp(u[i], -p.limit, p.limit);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::swiglu_f32() { return {{"swiglu_f32", "cpp", CpuIsa::kBaseline, items, run}}; }

}  // namespace nibble
