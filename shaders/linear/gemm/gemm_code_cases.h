// Cases of the gemm kernels in which every code of a weight format appears, e4m3 with every scale.
#pragma once

#include <vector>

#include "runtime/core/kernel_spec.h"
#include "shaders/formats/weight_format.h"

namespace nibble {

template <WeightFormat kFormat>
std::vector<KernelCase> gemm_code_cases();

extern template std::vector<KernelCase> gemm_code_cases<WeightFormat::kFp8>();
extern template std::vector<KernelCase> gemm_code_cases<WeightFormat::kBf16>();
extern template std::vector<KernelCase> gemm_code_cases<WeightFormat::kF32>();

}  // namespace nibble
