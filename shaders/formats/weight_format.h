// How weights are stored. shaders/formats/<format>/ holds what kernel texts decode by, this what programs count with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/core/kernel_spec.h"

namespace nibble {

enum class WeightFormat : uint8_t {
  kFp4,   // e2m1, low nibble first; one e8m0 byte per row and 32 columns; cols a multiple of 32
  kFp8,   // e4m3; one e8m0 byte per 128x128 block; any cols
  kBf16,  // any cols
  kF32,   // any cols
};

struct WeightFormatInfo {
  std::string_view name;    // of its folder, and in kernels' names
  uint32_t bits = 0;        // of a weight
  uint32_t scale_rows = 0;  // of a block with one e8m0 scale; 0: there are none
  uint32_t scale_cols = 0;
};

constexpr WeightFormatInfo format_info(WeightFormat format) {
  switch (format) {
    case WeightFormat::kFp4:
      return {"fp4", 4, 1, 32};
    case WeightFormat::kFp8:
      return {"fp8", 8, 128, 128};
    case WeightFormat::kBf16:
      return {"bf16", 16};
    case WeightFormat::kF32:
      break;
  }
  return {"f32", 32};
}

constexpr bool has_scales(WeightFormat format) { return format_info(format).scale_cols != 0; }

constexpr size_t weight_row_bytes(WeightFormat format, uint32_t cols) {
  return size_t{cols} * format_info(format).bits / 8;
}

// Scales of a row of blocks, and bytes of a whole matrix's scales; 0 without scales.
constexpr size_t scales_per_row(WeightFormat format, uint32_t cols) {
  const uint32_t block = format_info(format).scale_cols;
  return block == 0 ? 0 : (cols + block - 1) / block;
}
constexpr size_t scale_bytes(WeightFormat format, uint32_t rows, uint32_t cols) {
  const uint32_t block = format_info(format).scale_rows;
  return block == 0 ? 0 : (rows + block - 1) / block * scales_per_row(format, cols);
}
// The same as bound to a kernel: rounded up to whole words.
constexpr size_t bound_scale_bytes(WeightFormat format, uint32_t rows, uint32_t cols) {
  return (scale_bytes(format, rows, cols) + 3) / 4 * 4;
}

// The kernel of an operation ("gemm", "moe_up") for weights stored so; null if there is none.
const KernelSpec* kernel_for(std::string_view operation, WeightFormat format);

// Gives every variant of the spec the texts that decode the format.
void use_format(KernelSpec& spec, WeightFormat format);

}  // namespace nibble
