#include <algorithm>
#include <cstring>

#include "runtime/base/format.h"
#include "runtime/cpu/cpu_kernel.h"
#include "shaders/formats/weight_format.h"
#include "shaders/head/embed/embed.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_tokens; }

template <WeightFormat kFormat>
void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<EmbedParams>();
  const size_t row_bytes = weight_row_bytes(kFormat, p.cols);
  for (uint64_t t = begin; t < end; ++t) {
    const uint32_t token = args.step_words[p.tokens_at + t];
    if (token < p.vocab_begin || token >= p.vocab_end) continue;
    const std::byte* row = args.bindings[0].item(token - p.vocab_begin, row_bytes);
    float* x = args.bindings[1].as<float>() + t * p.copies * p.cols;
    for (uint32_t i = 0; i < p.cols; ++i) {
      if constexpr (kFormat == WeightFormat::kBf16) {
        uint16_t code;
        std::memcpy(&code, row + size_t{i} * 2, 2);
        x[i] = bf16_to_f32(code);
      } else {
        std::memcpy(x + i, row + size_t{i} * 4, 4);
      }
    }
    for (uint32_t c = 1; c < p.copies; ++c) std::copy_n(x, p.cols, x + size_t{c} * p.cols);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::embed_bf16() {
  return {{"embed_bf16", "cpp", CpuIsa::kBaseline, items, run<WeightFormat::kBf16>}};
}

std::vector<CpuKernel> cpu_kernels::embed_f32() {
  return {{"embed_f32", "cpp", CpuIsa::kBaseline, items, run<WeightFormat::kF32>}};
}

}  // namespace nibble
