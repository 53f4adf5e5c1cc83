// moe_up and moe_down over packed activations (shaders/common/packed_dot_cpu.h): the activations are packed and the
// pairs sorted by expert once per dispatch.
#pragma once

#include <string_view>

#include "shaders/common/packed_dot_cpu.h"

namespace nibble {

// kFormat is kFp4 or kFp8, kIsa kAvx512 or kAvx512Dot.
template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel moe_up_packed(std::string_view name);
template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel moe_down_packed(std::string_view name);

extern template CpuKernel moe_up_packed<WeightFormat::kFp4, CpuIsa::kAvx512>(std::string_view);
extern template CpuKernel moe_up_packed<WeightFormat::kFp4, CpuIsa::kAvx512Dot>(std::string_view);
extern template CpuKernel moe_up_packed<WeightFormat::kFp8, CpuIsa::kAvx512>(std::string_view);
extern template CpuKernel moe_up_packed<WeightFormat::kFp8, CpuIsa::kAvx512Dot>(std::string_view);
extern template CpuKernel moe_down_packed<WeightFormat::kFp4, CpuIsa::kAvx512>(std::string_view);
extern template CpuKernel moe_down_packed<WeightFormat::kFp4, CpuIsa::kAvx512Dot>(std::string_view);
extern template CpuKernel moe_down_packed<WeightFormat::kFp8, CpuIsa::kAvx512>(std::string_view);
extern template CpuKernel moe_down_packed<WeightFormat::kFp8, CpuIsa::kAvx512Dot>(std::string_view);

}  // namespace nibble
