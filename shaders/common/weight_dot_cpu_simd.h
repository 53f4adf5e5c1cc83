// The tile loops of weight_dot for SIMD: R rows x T tokens of accumulators in registers, weights decoded on the fly and
// used for T tokens. Included only by per-ISA files, which give `Simd` (a vector of kLanes f32) and `Rows<format>`.
// Everything has internal linkage: an inline function that two files emit would let the linker pick the wrong one.
#pragma once

#include "shaders/common/weight_dot_cpu.h"

namespace nibble {
namespace {

// Columns under one scale; formats without scales use it as the unit of prefetching.
template <WeightFormat kFormat>
constexpr uint32_t kBlockCols = has_scales(kFormat) ? format_info(kFormat).scale_cols : 128;

template <WeightFormat kFormat, uint32_t R, uint32_t T>
void dot_tile(const WeightBlock& block, uint32_t row, const float* const* x, float* out) {
  using Vec = typename Simd::Vec;
  const size_t row_bytes = weight_row_bytes(kFormat, block.cols);
  Rows<kFormat> rows[R];
  const std::byte* next[R];
  for (uint32_t r = 0; r < R; ++r) {
    rows[r].start(block, row + r);
    // The row that the next tile reads; past the block's last row its own start, which is harmless.
    next[r] = block.codes + (row + R + r < block.rows ? row + R + r : row + r) * row_bytes;
  }
  Vec sums[R][T];
  for (uint32_t r = 0; r < R; ++r) {
    for (uint32_t t = 0; t < T; ++t) sums[r][t] = Simd::zero();
  }
  uint32_t c = 0;
  while (c + Simd::kLanes <= block.cols) {
    const uint32_t end = c + kBlockCols<kFormat> <= block.cols ? c + kBlockCols<kFormat> : block.cols;
    for (uint32_t r = 0; r < R; ++r) {
      rows[r].start_block(c);
      for (size_t b = 0; b < weight_row_bytes(kFormat, kBlockCols<kFormat>); b += 64) {
        Simd::prefetch(next[r] + weight_row_bytes(kFormat, c) + b);
      }
    }
    for (; c + Simd::kLanes <= end; c += Simd::kLanes) {
      Vec weights[R];
      for (uint32_t r = 0; r < R; ++r) weights[r] = rows[r].load(c);
      for (uint32_t t = 0; t < T; ++t) {
        const Vec value = Simd::load(x[t] + c);
        for (uint32_t r = 0; r < R; ++r) sums[r][t] = Simd::multiply_add(weights[r], value, sums[r][t]);
      }
    }
    if (c < end) break;  // fewer columns than lanes are left
  }
  for (uint32_t r = 0; r < R; ++r) {
    for (uint32_t t = 0; t < T; ++t) {
      float sum = Simd::sum(sums[r][t]);
      for (uint32_t tail = c; tail < block.cols; ++tail) sum += rows[r].one(tail) * x[t][tail];
      out[(row + r) * kMaxDotTokens + t] = sum;
    }
  }
}

template <WeightFormat kFormat, uint32_t R, uint32_t T>
void dot_tiles(const WeightBlock& block, const float* const* x, float* out) {
  uint32_t row = 0;
  for (; row + R <= block.rows; row += R) dot_tile<kFormat, R, T>(block, row, x, out);
  for (; row < block.rows; ++row) dot_tile<kFormat, 1, T>(block, row, x, out);
}

// Tokens in pieces of 8, 4, 2 and 1: each is a loop of its own whose accumulators stay in registers.
template <WeightFormat kFormat>
void dot_rows(const WeightBlock& block, const float* const* x, uint32_t tokens, float* out) {
  uint32_t t = 0;
  if (tokens == 8) {
    dot_tiles<kFormat, Simd::kRows8, 8>(block, x, out);
    return;
  }
  if (tokens >= 4) {
    dot_tiles<kFormat, Simd::kRows4, 4>(block, x, out);
    t = 4;
  }
  if (tokens - t >= 2) {
    dot_tiles<kFormat, 4, 2>(block, x + t, out + t);
    t += 2;
  }
  if (tokens - t == 1) dot_tiles<kFormat, 4, 1>(block, x + t, out + t);
}

}  // namespace
}  // namespace nibble
