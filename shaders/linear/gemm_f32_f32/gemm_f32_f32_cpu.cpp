#include "shaders/linear/gemm/gemm_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::gemm_f32_f32() { return gemm_cpu_kernels<WeightFormat::kF32>("gemm_f32_f32"); }

}  // namespace nibble
