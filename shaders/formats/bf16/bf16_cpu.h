// bf16 decoded in plain C++.
#pragma once

#include <cstring>

#include "runtime/base/format.h"
#include "shaders/common/weight_dot_cpu.h"

namespace nibble {

template <>
inline void decode_columns<WeightFormat::kBf16>(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t count,
                                                float* out) {
  const std::byte* codes = block.codes + row * weight_row_bytes(WeightFormat::kBf16, block.cols);
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t code;
    std::memcpy(&code, codes + (size_t{begin} + i) * 2, 2);
    out[i] = bf16_to_f32(code);
  }
}

}  // namespace nibble
