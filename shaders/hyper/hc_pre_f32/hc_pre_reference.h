// What the specs of hc_pre_f32 and hc_pre_join_f32 share, and what both make of a token's mixes, in double precision.
#pragma once

#include <functional>

#include "shaders/common/hyper_connection_reference.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"

namespace nibble {

// Their bindings, but for the second one.
std::vector<BindingSpec> hc_pre_bindings(const BindingSpec& second);

// The C·(C + 2) mixes of token t, whose copies are `streams` [copies, cols].
using HcMixesOf = std::function<std::vector<double>(std::span<const float> streams, size_t t)>;

// x, post and comb, which are the bindings from `first_output` on.
std::vector<Expected> hc_pre_expected(const HcPreParams& p, const spec::HcInputs& in, uint32_t first_output,
                                      const HcMixesOf& mixes_of);

}  // namespace nibble
