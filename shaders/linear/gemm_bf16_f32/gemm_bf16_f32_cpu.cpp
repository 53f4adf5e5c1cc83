#include "shaders/linear/gemm/gemm_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::gemm_bf16_f32() { return gemm_cpu_kernels<WeightFormat::kBf16>("gemm_bf16_f32"); }

}  // namespace nibble
