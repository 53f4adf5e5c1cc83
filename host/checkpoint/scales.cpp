#include "host/checkpoint/scales.h"

#include <cmath>

#include <fmt/format.h>

namespace nibble {
namespace {

constexpr int kBias = 127;
constexpr int kMaxCode = 254;  // 255 is NaN

// The code of a power of two; -1 for every other value.
int code_of(float value) {
  int exponent = 0;
  // frexp gives a power of two as 0.5 * 2^exponent, subnormal ones too.
  if (!(value > 0) || !std::isfinite(value) || std::frexp(value, &exponent) != 0.5f) return -1;
  const int code = exponent - 1 + kBias;
  return code >= 0 && code <= kMaxCode ? code : -1;
}

}  // namespace

ConvertedScales::ConvertedScales(const TensorView& stored) : view(stored) {
  const std::vector<float> values = read_f32(stored);
  codes.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const int code = code_of(values[i]);
    if (code < 0) {
      problem = fmt::format(
          "element {} is {}, supported are powers of two from 2^-127 to 2^127, as the model was trained"
          " with (scale_fmt ue8m0)",
          i, values[i]);
      break;
    }
    codes[i] = static_cast<std::byte>(code);
  }
  view.dtype = Dtype::kF8E8M0;
  view.data = codes;
}

bool is_float_scale(Dtype dtype) { return dtype == Dtype::kF32 || dtype == Dtype::kBf16; }

}  // namespace nibble
