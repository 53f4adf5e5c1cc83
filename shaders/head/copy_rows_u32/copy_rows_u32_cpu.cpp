#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/head/copy_rows_u32/copy_rows_u32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_logits; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<CopyRowsParams>();
  const uint32_t* src = args.bindings[0].as<const uint32_t>() + (args.step.logits_first + begin) * p.row_words;
  std::copy_n(src, (end - begin) * p.row_words, args.bindings[1].as<uint32_t>() + begin * p.row_words);
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::copy_rows_u32() {
  return {{"copy_rows_u32", "cpp", CpuIsa::kBaseline, items, run}};
}

}  // namespace nibble
