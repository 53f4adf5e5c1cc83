// e4m3 codes decoded in plain C++.
#pragma once

#include <array>

#include "runtime/base/format.h"
#include "shaders/common/weight_dot_cpu.h"

namespace nibble {

inline const std::array<float, 256>& e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (uint32_t code = 0; code < 256; ++code) values[code] = e4m3_to_f32(static_cast<uint8_t>(code));
    return values;
  }();
  return table;
}

template <>
inline void decode_columns<WeightFormat::kFp8>(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t count,
                                               float* out) {
  const std::byte* codes = block.codes + row * weight_row_bytes(WeightFormat::kFp8, block.cols);
  const size_t scale_row = block.scale_row + row;
  const float scale =
      e8m0_to_f32(static_cast<uint8_t>(block.scales[scale_row / 128 * ((block.cols + 127) / 128) + begin / 128]));
  const std::array<float, 256>& table = e4m3_table();
  for (uint32_t i = 0; i < count; ++i) out[i] = table[static_cast<uint8_t>(codes[begin + i])] * scale;
}

}  // namespace nibble
