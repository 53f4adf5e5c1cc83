// Steps of encode_index_f32 per instruction set.
#pragma once

#include <cstdint>

namespace nibble {

// In encode_index_f32_cpu_avx512.cpp (x86-64 only). `dim` is a multiple of 32.
void hadamard_avx512(float* values, uint32_t dim);
// The 4 words of a block of 32 values times `inverse`.
void encode_e2m1_avx512(uint32_t* key, const float* values, float inverse);

}  // namespace nibble
