#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/experts/moe/moe.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs&) { return 1; }

void run(const CpuArgs& args, uint64_t, uint64_t) {
  const auto p = args.get<MoeTilesParams>();
  const uint32_t pairs = args.step.n_tokens * p.k;
  const auto* ids = args.bindings[0].as<const uint32_t>();
  auto* tiles = args.bindings[1].as<uint32_t>();
  uint32_t* order = tiles + p.order_at;
  for (uint32_t i = 0; i < pairs; ++i) order[i] = i;
  std::stable_sort(order, order + pairs, [ids](uint32_t a, uint32_t b) { return ids[a] < ids[b]; });
  tiles[0] = 0;
  for (uint32_t first = 0; first < pairs;) {
    const uint32_t expert = ids[order[first]];
    uint32_t count = 1;
    while (count < kMoeTilePairs && first + count < pairs && ids[order[first + count]] == expert) ++count;
    uint32_t* tile = tiles + 4 + 4 * tiles[0]++;
    tile[0] = expert;
    tile[1] = first;
    tile[2] = count;
    tile[3] = 0;
    first += count;
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::moe_tiles_u32() {
  return {{"moe_tiles_u32", "cpp", CpuIsa::kBaseline, items, run}};
}

}  // namespace nibble
