#include "shaders/common/hyper_connection_reference.h"

#include <cmath>

namespace nibble::spec {

CaseData hc_case(Rng& rng, const HcCase& shape) {
  const size_t width = shape.copies * shape.cols;
  CaseData data;
  const auto add = [&](size_t count, double sigma) {
    data.bindings.push_back({.content = to_bytes(normal_floats(rng, count, sigma))});
  };
  add(shape.tokens * width, 2);
  add(shape.rows * width, 1 / std::sqrt(static_cast<double>(width)));  // mixes of size 1
  add(shape.rows, 1);
  add(shape.scales, 1);
  add(shape.cols, 1);
  return data;
}

HcInputs hc_inputs(const CaseData& data) {
  const auto read = [&](size_t i) { return from_bytes<float>(data.bindings[i].content); };
  return {.streams = read(0), .fn = read(1), .base = read(2), .scale = read(3), .norm = read(4)};
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<double> hc_mixes(std::span<const float> x, std::span<const float> fn, size_t rows, double eps) {
  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  const double inverse_rms = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  std::vector<double> mixes(rows);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t c = 0; c < x.size(); ++c) mixes[m] += double{x[c]} * fn[m * x.size() + c];
    mixes[m] *= inverse_rms;
  }
  return mixes;
}

void hc_collapse(Expected& out, std::span<const double> pre, std::span<const float> x, std::span<const float> norm,
                 double eps) {
  const size_t cols = norm.size();
  std::vector<double> sum(cols);
  std::vector<double> magnitude(cols);
  double squares = 0;
  for (size_t d = 0; d < cols; ++d) {
    for (size_t j = 0; j < pre.size(); ++j) {
      sum[d] += pre[j] * x[j * cols + d];
      magnitude[d] += std::abs(pre[j] * x[j * cols + d]);
    }
    squares += sum[d] * sum[d];
  }
  const double inverse_rms = 1 / std::sqrt(squares / static_cast<double>(cols) + eps);
  for (size_t d = 0; d < cols; ++d) {
    out.values.push_back(sum[d] * inverse_rms * norm[d]);
    out.scales.push_back(magnitude[d] * inverse_rms * std::abs(norm[d]));
  }
}

}  // namespace nibble::spec
