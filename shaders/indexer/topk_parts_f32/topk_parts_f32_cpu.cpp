#include <vector>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/indexer/topk_f32/topk_f32_cpu.h"
#include "shaders/indexer/topk_parts_f32/topk_parts_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<TopkPartsParams>();
  return GridDim::tokens_from(p.first_token, p.max_tokens).evaluate(args.step) * topk_parts(p);
}

// Item: stretch item % parts of row item / parts.
void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<TopkPartsParams>();
  const uint32_t k = p.k;
  std::vector<uint32_t> keys;
  for (uint64_t item = begin; item < end; ++item) {
    const uint64_t row = item / topk_parts(p);
    const auto t = static_cast<uint32_t>(p.first_token + row);
    const uint32_t visible = (args.step.position + t + 1) / p.ratio;
    const auto skipped = static_cast<uint32_t>(std::min<uint64_t>(item % topk_parts(p) * p.part_length, visible));
    const uint32_t count = std::min(visible - skipped, p.part_length);
    if (count == 0) continue;
    const float* scores = args.bindings[0].as<float>() + row * p.stride + skipped;
    uint32_t* part_keys = args.bindings[1].as<uint32_t>() + item * k;
    uint32_t* part_ids = args.bindings[2].as<uint32_t>() + item * k;
    keys.resize(count);
    std::transform(scores, scores + count, keys.begin(), ordered_key);
    const uint32_t n = std::min(k, count);
    for_each_largest(keys, n, [&](uint32_t j) {
      *part_keys++ = keys[j];
      *part_ids++ = skipped + j;
    });
    std::fill_n(part_keys, k - n, 0u);
    std::fill_n(part_ids, k - n, 0xffffffffu);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::topk_parts_f32() {
  return {{.kernel = "topk_parts_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
