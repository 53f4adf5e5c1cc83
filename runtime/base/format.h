// Scalar codecs of the storage formats: bf16, f16, e4m3 (fn), e2m1, e8m0. All are exact on the CPU, subnormals
// included, and tested exhaustively. Encoders round to nearest, ties to even. Source: OCP MX v1.0 and FP8 papers.
#pragma once

#include <bit>
#include <cstdint>

namespace nibble {

// bf16: the upper half of an f32.
inline float bf16_to_f32(uint16_t code) { return std::bit_cast<float>(uint32_t{code} << 16); }
uint16_t f32_to_bf16(float value);

float f16_to_f32(uint16_t code);
uint16_t f32_to_f16(float value);

// e4m3fn: 1-4-3, bias 7, no infinities, code 0x7f/0xff are NaN, largest finite 448.
float e4m3_to_f32(uint8_t code);
// Saturates to ±448; NaN gives 0x7f. `value` is already divided by its block's scale.
uint8_t f32_to_e4m3(float value);

// e2m1: codes 0..7 are 0, .5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign.
float e2m1_to_f32(uint8_t code);
// Saturates to ±6; ties go to the even code. There is no NaN: of it the code is 0, its block's scale says the rest.
uint8_t f32_to_e2m1(float value);

// e8m0: 2^(code - 127). Code 0 is the subnormal 2^-127, code 255 is NaN.
float e8m0_to_f32(uint8_t code);

// The e8m0 code of 2^ceil(log2(value)) for a positive, normal value: the exponent plus one where the mantissa is not 0.
inline uint8_t e8m0_ceil(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint8_t>(((bits >> 23) & 0xffu) + ((bits & 0x7fffffu) != 0 ? 1u : 0u));
}

// The largest |x| of a block; NaN if there is one, since magnitudes are compared as the integers that their bits are.
inline float block_amax(const float* x, uint32_t count) {
  uint32_t largest = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return std::bit_cast<float>(largest);
}

// Scale codes of activation blocks (SPEC: "Quantisation of activations"): `amax` is the block's largest |x|. 255, NaN,
// where that is infinite or NaN.
inline uint8_t block_scale(float amax, float least, float inverse_most) {
  if (std::bit_cast<uint32_t>(amax) >= 0x7f800000u) return 255;
  return e8m0_ceil((amax > least ? amax : least) * inverse_most);
}
inline uint8_t fp8_block_scale(float amax) { return block_scale(amax, 1e-4f, 1.0f / 448.0f); }
inline uint8_t fp4_block_scale(float amax) { return block_scale(amax, 6.0f * 0x1p-126f, 1.0f / 6.0f); }
// The exact reciprocal of such a scale.
inline float block_scale_reciprocal(uint8_t code) {
  return std::bit_cast<float>(code == 255 ? 0x7fc00000u : (254u - code) << 23);
}

}  // namespace nibble
