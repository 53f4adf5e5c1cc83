// Case data and double-precision steps that the references of hc_pre and hc_head share.
#pragma once

#include <span>
#include <vector>

#include "shaders/common/spec_util.h"

namespace nibble::spec {

struct HcCase {
  size_t tokens = 0;
  size_t cols = 0;
  size_t copies = 0;
  size_t rows = 0;    // of fn
  size_t scales = 0;  // entries of scale
};

// Bindings streams, fn, base, scale, norm.
CaseData hc_case(Rng& rng, const HcCase& shape);

struct HcInputs {
  std::vector<float> streams, fn, base, scale, norm;
};
HcInputs hc_inputs(const CaseData& data);

double sigmoid(double x);
// (x·fn[m])·rsqrt(mean(x²) + eps) for each row m.
std::vector<double> hc_mixes(std::span<const float> x, std::span<const float> fn, size_t rows, double eps);
// Appends RMSNorm(Σ_j pre_j·x_j; norm) to `out`.
void hc_collapse(Expected& out, std::span<const double> pre, std::span<const float> x, std::span<const float> norm,
                 double eps);

}  // namespace nibble::spec
