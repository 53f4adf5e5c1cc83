// Cases and references that the kernels of attention share.
#pragma once

#include <cstdint>
#include <vector>

#include "shaders/attention/attention_f32/attention_f32.h"
#include "shaders/common/spec_util.h"

namespace nibble::spec {

// Step, and the bindings q, kv_new, ring, entries and ids at random; sets p.entry_words and p.rope_at.
CaseData random_attention(Rng& rng, AttentionParams& p, const StepHeader& step);

// Queries of zeros, and in the entries of the chunk every e4m3 code with every scale. With a window of one token and
// no entries beside it every output is its token's entry.
void put_every_code(CaseData& data, const AttentionParams& p);

// Values of every entry that token t attends to, in order, from those bindings.
std::vector<std::vector<double>> attended_entries(const CaseData& data, const AttentionParams& p, uint32_t t);

// How many entries the token at `position` attends to at most.
uint64_t attended_count(const AttentionParams& p, uint64_t position);

}  // namespace nibble::spec
