// Activations in the order of decoded weights (packed_dot_cpu_decode.h). Included only by per-ISA files.
#pragma once

#include "shaders/common/packed_dot_cpu_decode.h"

namespace nibble {
namespace {

// One cache line more than the operands: rows that lie a power of two apart would share few sets of the caches.
template <Format kFormat, Math kMath>
size_t packed_bytes(uint32_t cols) {
  return size_t{chunk_count<kFormat>(cols)} * kChunkVectors<kFormat, kMath> * 64 + 64;
}

inline __m512 load_lanes(const float* x, uint32_t begin, uint32_t end) {
  return _mm512_maskz_loadu_ps(begin < end ? lanes_below(end - begin) : __mmask16{0}, x + begin);
}

template <Format kFormat>
void pack_f32(const float* x, uint32_t cols, std::byte* packed) {
  constexpr uint32_t kCols = kChunkCols<kFormat>;
  auto* out = reinterpret_cast<float*>(packed);
  for (uint32_t begin = 0; begin < cols; begin += kCols) {
    for (uint32_t i = 0; i < kCols; ++i) {
      // Lane l of vector v = 2j + h is half h of pair l of vector j.
      const uint32_t v = i / 16;
      const uint32_t l = i % 16;
      const uint32_t column =
          kFormat == Format::kF32 ? begin + i : begin + (2 * l + v % 2) * kChunkWords<kFormat> + v / 2;
      out[begin + i] = column < cols ? x[column] : 0.0f;
    }
  }
}

#if defined(__AVX512BF16__)
template <Format kFormat>
void pack_bf16(const float* x, uint32_t cols, std::byte* packed) {
  constexpr uint32_t kWords = kChunkWords<kFormat>;
  alignas(64) uint16_t index[kWords][32];
  for (uint32_t j = 0; j < kWords; ++j) {
    // Two source vectors hold 64 columns; with four, lanes 8 to 15 repeat the pattern on the second two.
    for (uint32_t i = 0; i < 32; ++i) {
      index[j][i] = static_cast<uint16_t>((i / 2 * 2 * kWords + i % 2 * kWords + j) % 64);
    }
  }
  for (uint32_t begin = 0; begin < cols; begin += kWords * 32) {
    __m512i natural[kWords];
    for (uint32_t j = 0; j < kWords; ++j) {
      const uint32_t at = begin + j * 32;
      natural[j] = (__m512i)_mm512_cvtne2ps_pbh(load_lanes(x, at + 16, cols), load_lanes(x, at, cols));
    }
    for (uint32_t j = 0; j < kWords; ++j) {
      const __m512i lanes = _mm512_load_si512(index[j]);
      __m512i out = natural[0];
      if constexpr (kWords == 2) out = _mm512_permutex2var_epi16(natural[0], lanes, natural[1]);
      if constexpr (kWords == 4) {
        out = _mm512_mask_mov_epi32(_mm512_permutex2var_epi16(natural[0], lanes, natural[1]), 0xff00,
                                    _mm512_permutex2var_epi16(natural[2], lanes, natural[3]));
      }
      _mm512_store_si512(packed + (size_t{begin} / 32 + j) * 64, out);
    }
  }
}
#endif

}  // namespace
}  // namespace nibble
