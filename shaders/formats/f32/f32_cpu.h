// f32 decoded in plain C++.
#pragma once

#include <cstring>

#include "shaders/common/weight_dot_cpu.h"

namespace nibble {

template <>
inline void decode_columns<WeightFormat::kF32>(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t count,
                                               float* out) {
  const std::byte* codes = block.codes + row * weight_row_bytes(WeightFormat::kF32, block.cols);
  std::memcpy(out, codes + size_t{begin} * 4, size_t{count} * 4);
}

}  // namespace nibble
