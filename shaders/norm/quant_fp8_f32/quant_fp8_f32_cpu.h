// One block of quant_fp8_f32 per instruction set.
#pragma once

#include <cstdint>

namespace nibble {

// Columns [0, count) of one block; x and y may be the same memory. In quant_fp8_f32_cpu_avx512.cpp (x86-64 only).
void quantise_fp8_block_avx512(const float* x, uint32_t count, float* y);

}  // namespace nibble
