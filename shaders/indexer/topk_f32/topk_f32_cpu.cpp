#include "shaders/indexer/topk_f32/topk_f32_cpu.h"

#include <vector>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/indexer/topk_f32/topk_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<TopkParams>();
  return GridDim::tokens_from(p.first_token, p.max_tokens).evaluate(args.step);
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<TopkParams>();
  std::vector<uint32_t> keys;
  for (uint64_t row = begin; row < end; ++row) {
    const uint64_t t = p.first_token + row;
    const float* scores = args.bindings[0].as<float>() + row * p.stride;
    uint32_t* ids = args.bindings[1].as<uint32_t>() + t * (p.k + 1);
    const uint32_t visible = (args.step.position + static_cast<uint32_t>(t) + 1) / p.ratio;
    const uint32_t n = std::min(p.k, visible);
    keys.resize(visible);
    std::transform(scores, scores + visible, keys.begin(), ordered_key);
    *ids++ = n;
    for_each_largest(keys, n, [&](uint32_t j) { *ids++ = j; });
    std::fill_n(ids, p.k - n, 0xffffffffu);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::topk_f32() {
  return {{.kernel = "topk_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
