// A kernel's cases, and the same with what is no number among their inputs.
#pragma once

#include <vector>

#include "runtime/core/kernel_spec.h"

namespace nibble::spec {

// Whether the reference may be asked with NaN or infinities in that binding: f32 that the kernel reads.
bool takes_odd_values(const BindingSpec& binding);

// A NaN of either sign and both infinities in place of four values of `floats`, wherever `rng` says.
void put_odd_values(std::vector<std::byte>& floats, Rng& rng);

// kernel.cases(), then for each f32 input one of them with odd values in it: the case "odd_<binding>". What a NaN
// reaches must be NaN, the rest as ever.
std::vector<KernelCase> all_cases(const KernelSpec& kernel);

}  // namespace nibble::spec
