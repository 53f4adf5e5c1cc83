#include "shaders/linear/gemm/gemm_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::gemm_fp8_f32() { return gemm_cpu_kernels<WeightFormat::kFp8>("gemm_fp8_f32"); }

std::vector<CpuKernel> cpu_kernels::gemm_bf16_f32() { return gemm_cpu_kernels<WeightFormat::kBf16>("gemm_bf16_f32"); }

std::vector<CpuKernel> cpu_kernels::gemm_f32_f32() { return gemm_cpu_kernels<WeightFormat::kF32>("gemm_f32_f32"); }

}  // namespace nibble
