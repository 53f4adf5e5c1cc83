#include "runtime/base/format.h"

#include <array>
#include <cmath>
#include <limits>

namespace nibble {
namespace {

// Rounds a non-negative finite value to `mantissa_bits` with the smallest normal exponent `min_exponent`; the result is
// exact in f32. nearbyint follows the default rounding mode: nearest, ties to even.
double round_to_grid(double value, int mantissa_bits, int min_exponent) {
  if (value == 0.0) return 0.0;
  int exponent = 0;
  std::frexp(value, &exponent);  // value = m * 2^exponent, m in [0.5, 1)
  const int e = exponent - 1 < min_exponent ? min_exponent : exponent - 1;
  const double step = std::ldexp(1.0, e - mantissa_bits);
  return std::nearbyint(value / step) * step;
}

constexpr std::array<float, 8> kE2m1 = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};

}  // namespace

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // keep NaN a NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float f16_to_f32(uint16_t code) {
  const uint32_t sign = uint32_t{code & 0x8000u} << 16;
  const uint32_t exponent = (code >> 10) & 0x1fu;
  const uint32_t mantissa = code & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00u);
  const double magnitude = round_to_grid(std::fabs(static_cast<double>(value)), 10, -14);
  if (std::isinf(value) || magnitude > 65504.0) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x1p-14) return static_cast<uint16_t>(sign | static_cast<uint16_t>(magnitude * 0x1p24));
  const uint32_t rounded = std::bit_cast<uint32_t>(static_cast<float>(magnitude));
  return static_cast<uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

float e4m3_to_f32(uint8_t code) {
  const uint32_t sign = uint32_t{code & 0x80u} << 24;
  const uint32_t exponent = (code >> 3) & 0xfu;
  const uint32_t mantissa = code & 7u;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 120u) << 23) | (mantissa << 20));
}

uint8_t f32_to_e4m3(float value) {
  if (std::isnan(value)) return 0x7f;
  const uint8_t sign = std::signbit(value) ? 0x80 : 0;
  const double limited = std::fabs(value) > 448.0f ? 448.0 : std::fabs(static_cast<double>(value));
  const double magnitude = round_to_grid(limited, 3, -6);
  if (magnitude < 0x1p-6) return static_cast<uint8_t>(sign | static_cast<uint8_t>(magnitude * 0x1p9));
  const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(magnitude));
  return static_cast<uint8_t>(sign | ((bits - (120u << 23)) >> 20));
}

float e2m1_to_f32(uint8_t code) {
  const float magnitude = kE2m1[code & 7u];
  return (code & 8u) != 0 ? -magnitude : magnitude;
}

uint8_t f32_to_e2m1(float value) {
  if (std::isnan(value)) return 0;
  const uint8_t sign = std::signbit(value) ? 8 : 0;
  const float x = std::fabs(value);
  // Midpoints between neighbouring values; at a midpoint the even code wins.
  constexpr std::array<float, 7> kMid = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  uint8_t code = 0;
  for (uint8_t i = 0; i < 7; ++i) {
    const bool upper_is_even = (i & 1u) != 0;
    if (x > kMid[i] || (x == kMid[i] && upper_is_even)) code = static_cast<uint8_t>(i + 1);
  }
  return static_cast<uint8_t>(sign | code);
}

float e8m0_to_f32(uint8_t code) {
  if (code == 255) return std::numeric_limits<float>::quiet_NaN();
  return code == 0 ? 0x1p-127f : std::bit_cast<float>(uint32_t{code} << 23);
}

}  // namespace nibble
