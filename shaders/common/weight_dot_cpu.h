// Stored weight rows times activation rows on the host's processor: what the matrix kernels have in common.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/formats/weight_format.h"

namespace nibble {

// Rows of one stored matrix; nothing is aligned.
struct WeightBlock {
  const std::byte* codes = nullptr;   // first row of the block
  const std::byte* scales = nullptr;  // of the whole matrix, packed bytes; unused without block scales
  uint32_t scale_row = 0;             // row of the whole matrix that the block starts with
  uint32_t rows = 0;
  uint32_t cols = 0;
  const std::byte* next = nullptr;  // codes that are read after the block's, to be fetched early; null: those behind it
};

// Columns [begin, begin + count) of a row as f32; begin is a multiple of 128. In the formats' …_cpu.h.
template <WeightFormat kFormat>
void decode_columns(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t count, float* out);

inline constexpr uint32_t kMaxDotTokens = 8;

// out[r·kMaxDotTokens + t] = Σ_c W[r,c]·x[t][c] in f32 with several accumulators, t < tokens <= kMaxDotTokens.
using WeightDot = void (*)(const WeightBlock& block, const float* const* x, uint32_t tokens, float* out);

// Defined for every format in weight_dot_cpu.cpp (kBaseline) and …_avx2.cpp (x86-64 only). AVX-512 has packed_dot.
template <WeightFormat kFormat, CpuIsa kIsa>
void weight_dot(const WeightBlock& block, const float* const* x, uint32_t tokens, float* out);

#if defined(__x86_64__)
inline constexpr bool kHasX86Simd = true;
#else
inline constexpr bool kHasX86Simd = false;
#endif

}  // namespace nibble
