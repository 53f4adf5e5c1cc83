// Stored weight rows times packed activations: the matrix products of the AVX-512 kernels. Activations are packed once
// per dispatch in the order in which SIMD decodes the weights' codes; every block of rows then uses them.
#pragma once

#include <string_view>

#include "runtime/core/x_kind.h"
#include "shaders/common/weight_dot_cpu.h"

namespace nibble {

inline constexpr uint32_t kPackedRows = 64;     // most rows of one block: four vectors of 16
inline constexpr uint32_t kPackedTokens = 256;  // most tokens of one call

// One way to multiply, for one weight format and one kind of activations. Packed rows start at multiples of 64 bytes.
struct PackedDot {
  size_t (*packed_bytes)(uint32_t cols);
  void (*pack)(const float* x, uint32_t cols, std::byte* packed);
  // out[t·kPackedRows + r] = Σ_c W[r,c]·x[t][c], r < block.rows <= kPackedRows, t < tokens <= kPackedTokens.
  void (*multiply)(const WeightBlock& block, const std::byte* const* x, uint32_t tokens, float* out);
};

// Defined in packed_dot_cpu_avx512.cpp, which takes all products in f32, and packed_dot_<format>_cpu_avx512_dot.cpp
// (x86-64 only).
template <WeightFormat kFormat, CpuIsa kIsa>
const PackedDot& packed_dot(XKind kind);

constexpr std::string_view packed_variant(CpuIsa isa) { return isa == CpuIsa::kAvx512Dot ? "avx512_dot" : "avx512"; }

}  // namespace nibble
