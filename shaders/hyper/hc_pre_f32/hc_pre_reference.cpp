#include "shaders/hyper/hc_pre_f32/hc_pre_reference.h"

#include <algorithm>
#include <cmath>

namespace nibble {
namespace {

// Rows then columns; the first time the rows' softmax stands for the division.
void balance(std::vector<double>& comb, size_t n, const HcPreParams& p) {
  const auto eps = double{p.hc_eps};
  for (size_t j = 0; j < n; ++j) {
    // Less the largest, as every softmax does it: a row with an infinity in it is NaN altogether.
    const double largest = *std::max_element(comb.begin() + j * n, comb.begin() + (j + 1) * n);
    double sum = 0;
    for (size_t k = 0; k < n; ++k) sum += std::exp(comb[j * n + k] - largest);
    for (size_t k = 0; k < n; ++k) comb[j * n + k] = std::exp(comb[j * n + k] - largest) / sum + eps;
  }
  for (uint32_t pass = 0; pass < p.sinkhorn_iters; ++pass) {
    for (size_t j = 0; j < n && pass > 0; ++j) {
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += comb[j * n + k];
      for (size_t k = 0; k < n; ++k) comb[j * n + k] /= sum + eps;
    }
    for (size_t k = 0; k < n; ++k) {
      double sum = 0;
      for (size_t j = 0; j < n; ++j) sum += comb[j * n + k];
      for (size_t j = 0; j < n; ++j) comb[j * n + k] /= sum + eps;
    }
  }
}

}  // namespace

std::vector<BindingSpec> hc_pre_bindings(const BindingSpec& second) {
  return {{.name = "streams", .shape = "[tokens, copies, cols]"},
          second,
          {.name = "base", .shape = "[copies·(copies+2)]"},
          {.name = "scale", .shape = "[3]"},
          {.name = "norm", .shape = "[cols]"},
          {.name = "x", .access = Access::kWrite, .shape = "[tokens, cols]"},
          {.name = "post", .access = Access::kWrite, .shape = "[tokens, copies]"},
          {.name = "comb", .access = Access::kWrite, .shape = "[tokens, copies, copies]"},
          {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}};
}

std::vector<Expected> hc_pre_expected(const HcPreParams& p, const spec::HcInputs& in, uint32_t first_output,
                                      const HcMixesOf& mixes_of) {
  const size_t n = p.copies;
  Expected x{.binding = first_output};
  Expected post{.binding = first_output + 1};
  Expected comb{.binding = first_output + 2};
  for (size_t t = 0; t < in.streams.size() / (n * p.cols); ++t) {
    const std::span<const float> streams = std::span(in.streams).subspan(t * n * p.cols, n * p.cols);
    const std::vector<double> mixes = mixes_of(streams, t);
    std::vector<double> pre(n);
    std::vector<double> matrix(n * n);
    for (size_t j = 0; j < n; ++j) {
      pre[j] = spec::sigmoid(mixes[j] * in.scale[0] + in.base[j]) + double{p.hc_eps};
      post.values.push_back(2 * spec::sigmoid(mixes[n + j] * in.scale[1] + in.base[n + j]));
    }
    for (size_t i = 0; i < n * n; ++i) matrix[i] = mixes[2 * n + i] * in.scale[2] + in.base[2 * n + i];
    balance(matrix, n, p);
    comb.values.insert(comb.values.end(), matrix.begin(), matrix.end());
    spec::hc_collapse(x, pre, streams, in.norm, double{p.norm_eps});
  }
  return {x, post, comb};
}

}  // namespace nibble
