#include "shaders/experts/moe/moe_cpu.h"

namespace nibble {

std::vector<CpuKernel> cpu_kernels::moe_pairs_fp8_f32() {
  return moe_pairs_cpu_kernels<WeightFormat::kFp8>("moe_pairs_fp8_f32");
}

}  // namespace nibble
