#include "runtime/base/format.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "host/checkpoint/npy.h"
#include "runtime/base/rng.h"

namespace nibble {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// What the bits of a small float mean, from the definition, in double: (-1)^s · 2^(e-bias) · 1.m, or 2^(1-bias) · 0.m.
double value_of_bits(uint32_t code, int exponent_bits, int mantissa_bits, int bias) {
  const uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>((code >> mantissa_bits) & ((1u << exponent_bits) - 1));
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0 + fraction, exponent - bias);
  return ((code >> (exponent_bits + mantissa_bits)) & 1u) != 0 ? -magnitude : magnitude;
}

bool same_bits(float a, double b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(static_cast<float>(b));
}

// Non-negative codes 0..last are ordered like their values. Checks an encoder at every value and around every rounding
// boundary, on both sides of zero: exact values, the neighbours of each midpoint, and the midpoint itself (even wins).
template <typename Encode, typename Decode>
void check_every_boundary(uint32_t last, uint32_t sign_bit, Encode encode, Decode decode) {
  for (uint32_t code = 0; code <= last; ++code) {
    const float value = decode(code);
    ASSERT_EQ(encode(value), code) << "value " << value;
    ASSERT_EQ(encode(-value), code | sign_bit) << "value " << -value;
    if (code == last) break;
    const auto middle = static_cast<float>((double{value} + double{decode(code + 1)}) / 2);  // exact in f32
    const uint32_t even = (code & 1u) == 0 ? code : code + 1;
    ASSERT_EQ(encode(middle), even) << "midpoint " << middle;
    ASSERT_EQ(encode(-middle), even | sign_bit) << "midpoint " << -middle;
    ASSERT_EQ(encode(std::nextafter(middle, -kInf)), code) << "just below " << middle;
    ASSERT_EQ(encode(std::nextafter(middle, kInf)), code + 1) << "just above " << middle;
  }
}

TEST(Format, Bf16DecodesEveryCode) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float value = bf16_to_f32(static_cast<uint16_t>(code));
    if ((code & 0x7f80u) == 0x7f80u) {
      ASSERT_EQ(std::isinf(value), (code & 0x7fu) == 0) << code;
      ASSERT_EQ(std::isnan(value), (code & 0x7fu) != 0) << code;
      ASSERT_EQ(std::signbit(value), (code & 0x8000u) != 0) << code;
    } else {
      ASSERT_TRUE(same_bits(value, value_of_bits(code, 8, 7, 127))) << code;
    }
  }
}

TEST(Format, Bf16EncodesEveryBoundary) {
  check_every_boundary(
      0x7f7f, 0x8000, [](float x) { return uint32_t{f32_to_bf16(x)}; },
      [](uint32_t code) { return bf16_to_f32(static_cast<uint16_t>(code)); });
  EXPECT_EQ(f32_to_bf16(kInf), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-kInf), 0xff80);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80) << "rounds up past the largest bf16";
  // A NaN whose payload lies in the low half would become an infinity by truncation.
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0xffffffffu)))));
}

TEST(Format, F16DecodesEveryCode) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float value = f16_to_f32(static_cast<uint16_t>(code));
    if ((code & 0x7c00u) == 0x7c00u) {
      ASSERT_EQ(std::isinf(value), (code & 0x3ffu) == 0) << code;
      ASSERT_EQ(std::isnan(value), (code & 0x3ffu) != 0) << code;
      ASSERT_EQ(std::signbit(value), (code & 0x8000u) != 0) << code;
    } else {
      ASSERT_TRUE(same_bits(value, value_of_bits(code, 5, 10, 15))) << code;
    }
  }
}

TEST(Format, F16EncodesEveryBoundary) {
  check_every_boundary(
      0x7bff, 0x8000, [](float x) { return uint32_t{f32_to_f16(x)}; },
      [](uint32_t code) { return f16_to_f32(static_cast<uint16_t>(code)); });
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00) << "the tie between 65504 and 2^16 goes to the even, infinity";
  EXPECT_EQ(f32_to_f16(kInf), 0x7c00);
  EXPECT_EQ(f32_to_f16(-kInf), 0xfc00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::denorm_min()), 0x8000);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(kNan))));
}

TEST(Format, E4m3DecodesEveryCode) {
  for (uint32_t code = 0; code < 256; ++code) {
    const float value = e4m3_to_f32(static_cast<uint8_t>(code));
    if ((code & 0x7fu) == 0x7fu) {
      EXPECT_TRUE(std::isnan(value)) << code;
    } else {
      EXPECT_TRUE(same_bits(value, value_of_bits(code, 4, 3, 7))) << code;
    }
  }
  EXPECT_EQ(e4m3_to_f32(0x7e), 448.0f);
  EXPECT_EQ(e4m3_to_f32(0x01), 0x1p-9f);
}

TEST(Format, E4m3EncodesEveryBoundary) {
  check_every_boundary(
      0x7e, 0x80, [](float x) { return uint32_t{f32_to_e4m3(x)}; },
      [](uint32_t code) { return e4m3_to_f32(static_cast<uint8_t>(code)); });
  for (const float big : {464.0f, 480.0f, 1e30f, std::numeric_limits<float>::max(), kInf}) {
    EXPECT_EQ(f32_to_e4m3(big), 0x7e) << big;
    EXPECT_EQ(f32_to_e4m3(-big), 0xfe) << -big;
  }
  EXPECT_EQ(f32_to_e4m3(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_e4m3(-std::numeric_limits<float>::denorm_min()), 0x80);
  EXPECT_EQ(f32_to_e4m3(kNan), 0x7f);
}

TEST(Format, E2m1DecodesEveryCode) {
  for (uint32_t code = 0; code < 16; ++code) {
    EXPECT_TRUE(same_bits(e2m1_to_f32(static_cast<uint8_t>(code)), value_of_bits(code, 2, 1, 1))) << code;
  }
  EXPECT_EQ(e2m1_to_f32(7), 6.0f);
}

TEST(Format, E2m1EncodesEveryBoundary) {
  check_every_boundary(
      7, 8, [](float x) { return uint32_t{f32_to_e2m1(x)}; },
      [](uint32_t code) { return e2m1_to_f32(static_cast<uint8_t>(code)); });
  for (const float big : {6.5f, 7.0f, 8.0f, 1e30f, kInf}) {
    EXPECT_EQ(f32_to_e2m1(big), 7) << big;
    EXPECT_EQ(f32_to_e2m1(-big), 15) << -big;
  }
}

TEST(Format, E8m0DecodesEveryCode) {
  for (int code = 0; code < 255; ++code) {
    EXPECT_TRUE(same_bits(e8m0_to_f32(static_cast<uint8_t>(code)), std::ldexp(1.0, code - 127))) << code;
  }
  EXPECT_GT(e8m0_to_f32(0), 0.0f) << "code 0 is the subnormal 2^-127, not zero";
  EXPECT_TRUE(std::isnan(e8m0_to_f32(255)));
}

TEST(Format, E8m0CeilAtEveryPowerOfTwo) {
  for (int exponent = -126; exponent < 127; ++exponent) {
    const auto power = static_cast<float>(std::ldexp(1.0, exponent));
    EXPECT_EQ(e8m0_ceil(power), exponent + 127);
    EXPECT_EQ(e8m0_ceil(std::nextafter(power, kInf)), exponent + 128);
    EXPECT_EQ(e8m0_ceil(std::nextafter(power * 2, 0.0f)), exponent + 128);
  }
}

// The tables of the golden vectors, made by another program.
template <typename Decode>
void expect_table(const std::string& file, size_t size, Decode decode) {
  const auto table = read_npy<float>(std::string(NIBBLE_SOURCE_DIR) + "/tests/golden/ops/format_tables/" + file);
  ASSERT_EQ(table.values.size(), size);
  for (size_t code = 0; code < size; ++code) {
    const float want = table.values[code];
    const float got = decode(static_cast<uint8_t>(code));
    EXPECT_TRUE(std::isnan(want) ? std::isnan(got) : same_bits(got, want)) << file << ", code " << code;
  }
}

TEST(Format, EqualsTheGoldenTables) {
  expect_table("e4m3_value_of_code.npy", 256, e4m3_to_f32);
  expect_table("e2m1_value_of_code.npy", 16, e2m1_to_f32);
  expect_table("e8m0_value_of_byte.npy", 256, e8m0_to_f32);
}

// Codes and scales of the golden activation quantisation, its ties and floors included: x is quantised here the way a
// kernel does, and must give the same bytes (minus zero counts as zero).
template <typename Scale, typename Encode>
void expect_quantised(const std::string& folder, size_t block, float limit, uint8_t sign_bit, Scale scale,
                      Encode encode) {
  const std::string path = std::string(NIBBLE_SOURCE_DIR) + "/tests/golden/ops/" + folder;
  const auto x = read_npy<float>(path + "/x.npy").values;
  const auto codes = read_npy<uint8_t>(path + "/codes.npy").values;
  const auto scales = read_npy<uint8_t>(path + "/scale_bytes.npy").values;
  ASSERT_EQ(scales.size() * block, x.size());
  ASSERT_EQ(codes.size(), x.size());
  for (size_t b = 0; b < scales.size(); ++b) {
    float amax = 0;
    for (size_t i = b * block; i < (b + 1) * block; ++i) amax = std::fmax(amax, std::fabs(x[i]));
    ASSERT_EQ(scale(amax), scales[b]) << folder << ", block " << b << ", amax " << amax;
    const double divisor = std::ldexp(1.0, scales[b] - 127);
    for (size_t i = b * block; i < (b + 1) * block; ++i) {
      const auto quotient = static_cast<float>(x[i] / divisor);
      uint8_t code = encode(std::fmin(std::fmax(quotient, -limit), limit));
      uint8_t want = codes[i];
      if (code == sign_bit) code = 0;
      if (want == sign_bit) want = 0;
      ASSERT_EQ(code, want) << folder << ", element " << i << ", x " << x[i];
    }
  }
}

TEST(Format, QuantisesLikeTheGoldenVectors) {
  expect_quantised("act_quant_fp8_block128", 128, 448.0f, 0x80, fp8_block_scale, f32_to_e4m3);
  expect_quantised("act_quant_fp8_block64", 64, 448.0f, 0x80, fp8_block_scale, f32_to_e4m3);
  expect_quantised("act_quant_fp4_block32", 32, 6.0f, 8, fp4_block_scale, f32_to_e2m1);
}

// The scale is the smallest power of two that brings the block within the format's range, up to the rounding of
// amax · f32(1/448): f32(1/448) is above 1/448 by 2e-8, so amax = 448 · 2^k itself may take the next power.
TEST(Format, BlockScalesBringTheBlockIntoRange) {
  Rng rng(3);
  for (int i = 0; i < 10000; ++i) {
    const auto amax = static_cast<float>(std::exp2(rng.uniform(-12.0, 60.0)));
    const double fp8 = e8m0_to_f32(fp8_block_scale(amax));
    ASSERT_LE(amax / fp8, 448.0) << amax;
    ASSERT_GE(amax / fp8, 223.99) << amax;
    const double fp4 = e8m0_to_f32(fp4_block_scale(amax));
    ASSERT_LE(amax / fp4, 6.0) << amax;
    ASSERT_GE(amax / fp4, 2.99) << amax;
  }
}

TEST(Format, BlockScalesHaveAFloor) {
  // max(amax, 1e-4) / 448 = 2.2e-7, between 2^-23 and 2^-22.
  for (const float amax : {0.0f, 1e-10f, 1e-4f}) EXPECT_EQ(fp8_block_scale(amax), 127 - 22) << amax;
  // 6 · 2^-126 · f32(1/6) is 2^-126 or one ulp above it.
  EXPECT_EQ(fp4_block_scale(0.0f), fp4_block_scale(6.0f * 0x1p-126f));
  EXPECT_LE(fp4_block_scale(0.0f), 2);
  EXPECT_GE(fp4_block_scale(0.0f), 1);
}

}  // namespace
}  // namespace nibble
