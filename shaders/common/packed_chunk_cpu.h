// Chunks of stored codes as operands of AVX-512 arithmetic: what decoders of all formats share. Included only by
// per-ISA files; everything has internal linkage.
//
// A chunk is 64 bytes of one row. Decoded, it is `kWords` vectors of 16 pairs of bf16; for bf16 dot products a pair is
// one operand, for f32 arithmetic its two halves are two. Packed activations lie in the same order, so nothing is
// shuffled in the inner loops: pair l of vector j holds columns kWords·2·l + j and that + kWords.
#pragma once

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "shaders/common/packed_dot_cpu.h"

namespace nibble {
namespace {

enum class Math : uint8_t { kF32, kBf16 };

using Format = WeightFormat;

template <Format kFormat>
constexpr uint32_t kChunkCols = 512 / format_info(kFormat).bits;
template <Format kFormat>
constexpr uint32_t kChunkWords = kChunkCols<kFormat> / 32;  // vectors of pairs; 0 for f32
// Vectors of 32-bit operands that a chunk decodes to.
template <Format kFormat, Math kMath>
constexpr uint32_t kChunkVectors = kMath == Math::kBf16 ? kChunkCols<kFormat> / 32 : kChunkCols<kFormat> / 16;

template <Format kFormat>
constexpr uint32_t chunk_count(uint32_t cols) {
  return (cols + kChunkCols<kFormat> - 1) / kChunkCols<kFormat>;
}

// Which bytes of a chunk belong to the row.
template <Format kFormat>
__mmask64 chunk_mask(uint32_t cols, uint32_t chunk) {
  const size_t left = weight_row_bytes(kFormat, cols) - size_t{chunk} * 64;
  return left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
}

inline __mmask16 lanes_below(uint32_t left) {
  return left >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << left) - 1);
}

inline __m512i load_codes(const std::byte* from, __mmask64 mask) { return _mm512_maskz_loadu_epi8(mask, from); }

inline __m512 multiply_add(__m512i w, __m512i x, __m512 sum, std::integral_constant<Math, Math::kF32>) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum);
}
#if defined(__AVX512BF16__)
inline __m512 multiply_add(__m512i w, __m512i x, __m512 sum, std::integral_constant<Math, Math::kBf16>) {
  return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
}
#endif

struct alignas(64) WordTable {
  uint16_t words[128];
};

// The pairs of `kWords` vectors as operands: themselves, or their halves as f32.
template <uint32_t kWords, Math kMath>
void to_operands(const __m512i* words, __m512i* operands) {
  for (uint32_t j = 0; j < kWords; ++j) {
    if constexpr (kMath == Math::kBf16) {
      operands[j] = words[j];
    } else {
      operands[2 * j] = _mm512_slli_epi32(words[j], 16);
      operands[2 * j + 1] = _mm512_and_si512(words[j], _mm512_set1_epi32(static_cast<int>(0xffff0000)));
    }
  }
}

constexpr uint16_t kNanBf16 = 0x7fc0;

// Scale codes that may be folded into bf16 weights: no weight leaves the range of normal numbers, and no product of one
// with an activation of 2^-31 or more falls below it, where dot products flush to zero.
constexpr uint32_t kLeastFolded = 64;
constexpr uint32_t kMostFolded = 190;

// Whether all scales of the block may be; specialised by the formats that have some.
template <Format kFormat>
bool can_fold(const WeightBlock&) {
  return true;
}

// Scales of codes that are shifted to an exponent's place. Code 0 is 2^-127, an f32 subnormal; code 255 is NaN.
inline __m512 scale_factors(__m512i shifted) {
  const __m512i bits = _mm512_max_epu32(shifted, _mm512_set1_epi32(0x00400000));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(shifted, _mm512_set1_epi32(0x7f800000));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7fc00000)));
}

inline float scale_factor(std::byte code) {
  // Code 0 is 2^-127, an f32 subnormal; code 255 is NaN.
  const uint32_t shifted = code == std::byte{0} ? 0x00400000u : static_cast<uint32_t>(code) << 23;
  const uint32_t bits = code == std::byte{255} ? 0x7fc00000u : shifted;
  float factor;
  std::memcpy(&factor, &bits, 4);
  return factor;
}

}  // namespace
}  // namespace nibble
