#include "runtime/cpu/cpu_kernel.h"
#include "shaders/experts/moe_sum_f32/moe_sum_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_tokens; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<MoeSumParams>();
  for (uint64_t t = begin; t < end; ++t) {
    const float* parts = args.bindings[0].as<const float>() + t * p.k * p.rows;
    float* y = args.bindings[1].as<float>() + t * p.rows;
    for (uint32_t r = 0; r < p.rows; ++r) {
      float sum = parts[r];
      for (uint32_t k = 1; k < p.k; ++k) sum += parts[size_t{k} * p.rows + r];
      y[r] = sum;
    }
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::moe_sum_f32() { return {{"moe_sum_f32", "cpp", CpuIsa::kBaseline, items, run}}; }

}  // namespace nibble
