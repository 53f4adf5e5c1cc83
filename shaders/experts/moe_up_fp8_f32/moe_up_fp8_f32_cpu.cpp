#include "shaders/experts/moe/moe_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::moe_up_fp8_f32() {
  return moe_up_cpu_kernels<WeightFormat::kFp8>("moe_up_fp8_f32");
}

}  // namespace nibble
