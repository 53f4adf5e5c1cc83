// The cpu implementation that the two kernels of this family share.
#pragma once

#include <algorithm>
#include <cstring>

#include "runtime/base/format.h"
#include "runtime/cpu/cpu_kernel.h"
#include "shaders/head/embed/embed.h"

namespace nibble {

inline uint64_t embed_cpu_items(const CpuArgs& args) { return args.step.n_tokens; }

template <bool kBf16>
void embed_cpu_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<EmbedParams>();
  const size_t row_bytes = size_t{p.cols} * (kBf16 ? 2 : 4);
  for (uint64_t t = begin; t < end; ++t) {
    const uint32_t token = args.step_words[p.tokens_at + t];
    if (token < p.vocab_begin || token >= p.vocab_end) continue;
    const std::byte* row = args.bindings[0].item(token - p.vocab_begin, row_bytes);
    float* x = args.bindings[1].as<float>() + t * p.copies * p.cols;
    for (uint32_t i = 0; i < p.cols; ++i) {
      if constexpr (kBf16) {
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

}  // namespace nibble
