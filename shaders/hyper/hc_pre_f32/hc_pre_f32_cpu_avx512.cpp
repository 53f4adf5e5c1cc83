#include "shaders/hyper/hc_pre_f32/hc_pre_f32_cpu.h"

namespace nibble {

CpuKernel hc_pre_f32_avx512() { return hc_pre_kernel("avx512", CpuIsa::kAvx512); }

}  // namespace nibble
