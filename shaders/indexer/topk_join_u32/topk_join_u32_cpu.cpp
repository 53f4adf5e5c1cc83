#include <vector>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/indexer/topk_f32/topk_f32_cpu.h"
#include "shaders/indexer/topk_join_u32/topk_join_u32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<TopkJoinParams>();
  return GridDim::tokens_from(p.first_token, p.max_tokens).evaluate(args.step);
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<TopkJoinParams>();
  const uint64_t k = p.k;
  const uint64_t parts = topk_parts(p);
  for (uint64_t row = begin; row < end; ++row) {
    const auto t = static_cast<uint32_t>(p.first_token + row);
    const uint32_t visible = (args.step.position + t + 1) / p.ratio;
    const uint32_t n = std::min(p.k, visible);
    const uint64_t candidates = (visible + p.part_length - 1) / p.part_length * k;
    const uint32_t* keys = args.bindings[0].as<uint32_t>() + row * parts * k;
    const uint32_t* part_ids = args.bindings[1].as<uint32_t>() + row * parts * k;
    uint32_t* ids = args.bindings[2].as<uint32_t>() + t * (k + 1);
    *ids++ = n;
    for_each_largest({keys, candidates}, n, [&](uint32_t j) { *ids++ = part_ids[j]; });
    std::fill_n(ids, k - n, 0xffffffffu);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::topk_join_u32() {
  return {{.kernel = "topk_join_u32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
