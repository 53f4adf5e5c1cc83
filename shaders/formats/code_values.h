// What codes mean, in double: for references.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "shaders/formats/weight_format.h"

namespace nibble::spec {

double e4m3(uint8_t code);
double e2m1(uint32_t code);
double e8m0(uint8_t code);
double bf16(uint16_t code);

// A stored matrix, or rows of one.
struct StoredMatrix {
  WeightFormat format = WeightFormat::kF32;
  std::span<const std::byte> codes;   // of these rows
  std::span<const std::byte> scales;  // of the whole matrix
  uint32_t cols = 0;
  uint32_t row_begin = 0;  // row of the whole matrix that is row 0 here
  double at(uint32_t row, uint32_t col) const;
};

}  // namespace nibble::spec
