// What a matrix kernel may assume about its activations: the param `x_kind` of the gemm and moe families.
#pragma once

#include <cstdint>

namespace nibble {

enum class XKind : uint32_t {
  kFloat = 0,  // any f32: products are taken in f32
  // As quant_fp8_f32 leaves them: e4m3 times a power of two per 128 columns, so each is exact in bf16, and products may
  // be taken in 16 bits. Units for those take bf16 weights below 2^-126 for zero.
  kFp8 = 1,
  kCoarse = 2,  // any f32, and the caller accepts rounding: to int8 with a scale per 128 columns or fewer, or finer
};

}  // namespace nibble
