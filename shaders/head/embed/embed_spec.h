// The spec that the two kernels of this family share.
#pragma once

#include <string_view>

#include "runtime/core/kernel_spec.h"

namespace nibble {

template <bool kBf16>
KernelSpec embed_spec(std::string_view name);

extern template KernelSpec embed_spec<true>(std::string_view);
extern template KernelSpec embed_spec<false>(std::string_view);

}  // namespace nibble
