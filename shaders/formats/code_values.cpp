#include "shaders/formats/code_values.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace nibble::spec {
namespace {

template <typename T>
T stored(std::span<const std::byte> codes, size_t index) {
  T value;
  std::memcpy(&value, codes.data() + index * sizeof(T), sizeof(T));
  return value;
}

double code_value(WeightFormat format, std::span<const std::byte> codes, size_t index) {
  switch (format) {
    case WeightFormat::kFp4:
      return e2m1(uint32_t{stored<uint8_t>(codes, index / 2)} >> (4 * (index % 2)));
    case WeightFormat::kFp8:
      return e4m3(stored<uint8_t>(codes, index));
    case WeightFormat::kBf16:
      return bf16(stored<uint16_t>(codes, index));
    case WeightFormat::kF32:
      break;
  }
  return stored<float>(codes, index);
}

}  // namespace

double e4m3(uint8_t code) {
  const int exponent = (code >> 3) & 15;
  const int mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::nan("");
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

double e2m1(uint32_t code) {
  constexpr double kValues[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};
  return kValues[code & 15];
}

double e8m0(uint8_t code) { return code == 255 ? std::nan("") : std::ldexp(1.0, int{code} - 127); }

double bf16(uint16_t code) { return double{std::bit_cast<float>(uint32_t{code} << 16)}; }

double StoredMatrix::at(uint32_t row, uint32_t col) const {
  const double value = code_value(format, codes, size_t{row} * cols + col);
  if (!has_scales(format)) return value;
  const WeightFormatInfo info = format_info(format);
  const size_t block = (row_begin + row) / info.scale_rows * scales_per_row(format, cols) + col / info.scale_cols;
  return value * e8m0(stored<uint8_t>(scales, block));
}

}  // namespace nibble::spec
