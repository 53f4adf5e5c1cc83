#include "shaders/common/weight_dot_cpu.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/base/format.h"

namespace nibble {
namespace {

constexpr uint32_t kSegment = 128;  // columns decoded at a time: 512 bytes, and one fp8 block

const std::array<float, 256>& e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (uint32_t code = 0; code < 256; ++code) values[code] = e4m3_to_f32(static_cast<uint8_t>(code));
    return values;
  }();
  return table;
}

float scale_of(const std::byte* scales, size_t index) { return e8m0_to_f32(static_cast<uint8_t>(scales[index])); }

// Columns [begin, begin + count) of a row as f32; begin is a multiple of kSegment.
template <WeightFormat kFormat>
void decode(const WeightBlock& block, uint32_t row, uint32_t begin, uint32_t count, float* out) {
  const std::byte* codes = block.codes + row * weight_row_bytes(kFormat, block.cols);
  const size_t scale_row = block.scale_row + row;
  if constexpr (kFormat == WeightFormat::kF32) {
    std::memcpy(out, codes + size_t{begin} * 4, size_t{count} * 4);
  } else if constexpr (kFormat == WeightFormat::kBf16) {
    for (uint32_t i = 0; i < count; ++i) {
      uint16_t code;
      std::memcpy(&code, codes + (size_t{begin} + i) * 2, 2);
      out[i] = bf16_to_f32(code);
    }
  } else if constexpr (kFormat == WeightFormat::kFp8) {
    const float scale = scale_of(block.scales, scale_row / 128 * ((block.cols + 127) / 128) + begin / 128);
    const std::array<float, 256>& table = e4m3_table();
    for (uint32_t i = 0; i < count; ++i) out[i] = table[static_cast<uint8_t>(codes[begin + i])] * scale;
  } else {
    const std::byte* scales = block.scales + scale_row * (block.cols / 32) + begin / 32;
    for (uint32_t i = 0; i < count; i += 2) {
      const float scale = scale_of(scales, i / 32);
      const auto pair = static_cast<uint8_t>(codes[(begin + i) / 2]);
      out[i] = e2m1_to_f32(pair & 15) * scale;
      out[i + 1] = e2m1_to_f32(pair >> 4) * scale;
    }
  }
}

// Eight accumulators: the order of additions is fixed and a vectorising compiler may keep them in one register.
float dot(const float* a, const float* b, uint32_t count) {
  float sums[8] = {};
  uint32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (uint32_t lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < count; ++i) sums[i % 8] += a[i] * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

template <WeightFormat kFormat>
void dot_rows(const WeightBlock& block, const float* const* x, uint32_t tokens, float* out) {
  float decoded[kSegment];
  for (uint32_t r = 0; r < block.rows; ++r) {
    float* sums = out + r * kMaxDotTokens;
    std::fill(sums, sums + tokens, 0.0f);
    for (uint32_t begin = 0; begin < block.cols; begin += kSegment) {
      const uint32_t count = std::min(kSegment, block.cols - begin);
      decode<kFormat>(block, r, begin, count, decoded);
      for (uint32_t t = 0; t < tokens; ++t) sums[t] += dot(decoded, x[t] + begin, count);
    }
  }
}

}  // namespace

template <>
void weight_dot<WeightFormat::kFp4, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                       float* out) {
  dot_rows<WeightFormat::kFp4>(b, x, t, out);
}
template <>
void weight_dot<WeightFormat::kFp8, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                       float* out) {
  dot_rows<WeightFormat::kFp8>(b, x, t, out);
}
template <>
void weight_dot<WeightFormat::kBf16, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                        float* out) {
  dot_rows<WeightFormat::kBf16>(b, x, t, out);
}
template <>
void weight_dot<WeightFormat::kF32, CpuIsa::kBaseline>(const WeightBlock& b, const float* const* x, uint32_t t,
                                                       float* out) {
  dot_rows<WeightFormat::kF32>(b, x, t, out);
}

}  // namespace nibble
