// e2m1 codes decoded in plain C++.
#pragma once

#include "runtime/base/format.h"
#include "shaders/common/weight_dot_cpu.h"

namespace nibble {

template <>
inline void decode_columns<WeightFormat::kFp4>(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t count,
                                               float* out) {
  const std::byte* codes = block.codes + row * weight_row_bytes(WeightFormat::kFp4, block.cols);
  const size_t scale_row = block.scale_row + row;
  const std::byte* scales = block.scales + scale_row * (block.cols / 32) + begin / 32;
  for (uint32_t i = 0; i < count; i += 2) {
    const float scale = e8m0_to_f32(static_cast<uint8_t>(scales[i / 32]));
    const auto pair = static_cast<uint8_t>(codes[(begin + i) / 2]);
    out[i] = e2m1_to_f32(pair & 15) * scale;
    out[i + 1] = e2m1_to_f32(pair >> 4) * scale;
  }
}

}  // namespace nibble
