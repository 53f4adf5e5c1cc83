// Cases of the gemm kernels in which every code of a weight format appears, e4m3 with every scale.
#pragma once

#include <vector>

#include "runtime/core/kernel_spec.h"

namespace nibble {

template <uint32_t kBits>
std::vector<KernelCase> gemm_code_cases();

extern template std::vector<KernelCase> gemm_code_cases<8>();
extern template std::vector<KernelCase> gemm_code_cases<16>();
extern template std::vector<KernelCase> gemm_code_cases<32>();

}  // namespace nibble
