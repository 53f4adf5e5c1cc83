// PackedDot of one format and kind of arithmetic. Included only by per-ISA files.
#pragma once

#include "shaders/common/packed_dot_cpu_few.h"
#include "shaders/common/packed_dot_cpu_folded.h"
#include "shaders/common/packed_dot_cpu_many.h"
#include "shaders/common/packed_dot_cpu_pack.h"

namespace nibble {
namespace {

template <Format kFormat, Math kMath>
void pack_row(const float* x, uint32_t cols, std::byte* packed) {
#if defined(__AVX512BF16__)
  if constexpr (kMath == Math::kBf16) {
    pack_bf16<kFormat>(x, cols, packed);
    return;
  }
#endif
  pack_f32<kFormat>(x, cols, packed);
}

// Tokens from which decoding a panel first is faster than decoding in registers, measured. The less decoding costs, the
// later; e2m1 is as fast in registers up to here, and its activations stay in the first cache.
template <Format kFormat, Math kMath>
constexpr uint32_t many_tokens() {
  if (kFormat == Format::kFp4) return 65;
  if (kFormat == Format::kFp8) return 9;
  return kMath == Math::kF32 ? 9 : 24;
}

// Tokens from which folding the scales of e2m1 into the weights is faster than a multiplication per token: GFLOP/s of
// one thread of a Zen 5 at 3, 4, 5 tokens 322, 395, 442 against 322, 347, 368.
constexpr uint32_t kFoldTokens = 4;

template <Format kFormat, Math kMath>
void multiply(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out) {
  const bool folds = tokens >= kFoldTokens && can_fold<kFormat>(block);
  if (tokens >= many_tokens<kFormat, kMath>() && folds) return multiply_many<kFormat, kMath>(block, x, tokens, out);
  if constexpr (kFormat == Format::kFp4) {
    if (folds) return multiply_folded<kMath>(block, x, tokens, out);
  }
  multiply_few<kFormat, kMath>(block, x, tokens, out);
}

template <Format kFormat, Math kMath>
constexpr PackedDot kPackedDot = {.packed_bytes = packed_bytes<kFormat, kMath>,
                                  .pack = pack_row<kFormat, kMath>,
                                  .multiply = multiply<kFormat, kMath>};

}  // namespace
}  // namespace nibble
