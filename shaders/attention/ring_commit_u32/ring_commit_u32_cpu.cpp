#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/attention/ring_commit_u32/ring_commit_u32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return std::min(args.step.n_tokens, args.get<RingParams>().slots); }

// Item i is the i-th of the last min(n_tokens, slots) tokens: no two of them share a slot.
void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<RingParams>();
  const uint64_t skipped = args.step.n_tokens - items(args);
  for (uint64_t t = skipped + begin; t < skipped + end; ++t) {
    const uint64_t slot = (args.step.position + t) % p.slots;
    std::copy_n(args.bindings[0].as<const uint32_t>() + t * p.row_words, p.row_words,
                args.bindings[1].as<uint32_t>() + slot * p.row_words);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::ring_commit_u32() {
  return {{"ring_commit_u32", "cpp", CpuIsa::kBaseline, items, run}};
}

}  // namespace nibble
