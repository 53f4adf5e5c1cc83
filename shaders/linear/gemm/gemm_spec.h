// The spec that the three kernels of this family share.
#pragma once

#include <string_view>

#include "runtime/core/kernel_spec.h"

namespace nibble {

// Weights of kBits: 8 (e4m3 with block scales), 16 (bf16) or 32 (f32).
template <uint32_t kBits>
KernelSpec gemm_spec(std::string_view name, std::string_view formula);

extern template KernelSpec gemm_spec<8>(std::string_view, std::string_view);
extern template KernelSpec gemm_spec<16>(std::string_view, std::string_view);
extern template KernelSpec gemm_spec<32>(std::string_view, std::string_view);

}  // namespace nibble
