#include "shaders/linear/gemm/gemm_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::gemm_fp8_f32() { return gemm_cpu_kernels<WeightFormat::kFp8>("gemm_fp8_f32"); }

}  // namespace nibble
