// Matrix times activations, for matrices stored as e4m3 (gemm_fp8_f32), bf16 (gemm_bf16_f32) and f32 (gemm_f32_f32).
#pragma once

#include <cstdint>

namespace nibble {

// y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c], g = group_rows ? (row_begin + r)/group_rows : 0.
// Bindings: x f32 [R, x_stride], w u32x4 [rows, cols], (fp8 only) scale u32 [ceil(all rows/128), ceil(cols/128)] bytes,
// y f32 [R, y_stride], step; R = step[count_at]·rows_per_token.
// A row of W is a multiple of 16 bytes; x_stride is a multiple of 4; group_rows and, with groups, row_begin are
// multiples of kGemmRowTile, so that a tile of rows reads one group.
struct GemmParams {
  uint32_t rows = 0;  // rows of w that this dispatch computes
  uint32_t cols = 0;
  uint32_t x_stride = 0;        // elements from a row of x to the next; what lies between rows is not read
  uint32_t y_stride = 0;        // elements between rows of y
  uint32_t y_offset = 0;        // first output column
  uint32_t row_begin = 0;       // row of the whole matrix that is row 0 of w; scale is always whole
  uint32_t group_rows = 0;      // rows of one group of a block-diagonal product; 0 = one dense matrix
  uint32_t accumulate = 0;      // 1 adds to y
  uint32_t count_at = 0;        // step word with the number of tokens
  uint32_t rows_per_token = 1;  // rows of x per token
  uint32_t x_kind = 0;          // XKind
};

inline constexpr uint32_t kGemmRowTile = 8;

}  // namespace nibble
