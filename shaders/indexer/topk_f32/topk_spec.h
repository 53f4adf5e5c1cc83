// What topk_f32, topk_parts_f32 and topk_join_u32 share: scores for their cases, the order that the references select
// by, and their variants.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "runtime/core/kernel_spec.h"

namespace nibble::spec {

// Tokens [first_token, end) of the chunk that are selected for.
template <typename Params>
uint32_t topk_end_token(const Params& p, const StepHeader& step) {
  return static_cast<uint32_t>(std::min<uint64_t>(step.n_tokens, uint64_t{p.first_token} + p.max_tokens));
}

enum class Scores { kNormal, kTies, kHostile };  // hostile: infinities, NaN, both zeros
std::vector<float> topk_scores(Rng& rng, size_t count, Scores kind);

// The indices of the n best of scores[begin, end), from the best on: NaN first, ties by index.
std::vector<uint32_t> topk_order(const float* scores, uint32_t begin, uint32_t end, uint32_t n);

// Of the text topk_f32.kernel, with its constants PARTS and JOINED.
std::vector<Variant> topk_variants(bool parts, bool joined);

}  // namespace nibble::spec
