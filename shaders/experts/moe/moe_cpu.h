// The cpu implementations that the kernels of this family share.
#pragma once

#include <string_view>
#include <vector>

#include "shaders/common/weight_dot_cpu.h"

namespace nibble {

// kFormat is kFp4 or kFp8.
template <WeightFormat kFormat>
std::vector<CpuKernel> moe_up_cpu_kernels(std::string_view name);
template <WeightFormat kFormat>
std::vector<CpuKernel> moe_down_cpu_kernels(std::string_view name);
template <WeightFormat kFormat>
std::vector<CpuKernel> moe_pairs_cpu_kernels(std::string_view name);

extern template std::vector<CpuKernel> moe_up_cpu_kernels<WeightFormat::kFp4>(std::string_view);
extern template std::vector<CpuKernel> moe_up_cpu_kernels<WeightFormat::kFp8>(std::string_view);
extern template std::vector<CpuKernel> moe_down_cpu_kernels<WeightFormat::kFp4>(std::string_view);
extern template std::vector<CpuKernel> moe_down_cpu_kernels<WeightFormat::kFp8>(std::string_view);
extern template std::vector<CpuKernel> moe_pairs_cpu_kernels<WeightFormat::kFp4>(std::string_view);
extern template std::vector<CpuKernel> moe_pairs_cpu_kernels<WeightFormat::kFp8>(std::string_view);

}  // namespace nibble
