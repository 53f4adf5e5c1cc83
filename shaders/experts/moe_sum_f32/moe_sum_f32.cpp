#include "shaders/experts/moe_sum_f32/moe_sum_f32.h"

#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<MoeSumParams>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.rows, variant.workgroup)), .y = GridDim::tokens()};
}

CaseData make_case(const MoeSumParams& p, uint32_t tokens, Rng& rng) {
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = tokens, .position = 2})};
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{tokens} * p.k * p.rows))});
  data.bindings.push_back(spec::blank(size_t{tokens} * p.rows));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  return {{"six_experts", [](Rng& rng) { return make_case({.rows = 193, .k = 6}, 11, rng); }},
          {"one_expert", [](Rng& rng) { return make_case({.rows = 64, .k = 1}, 3, rng); }},
          {"below_a_workgroup", [](Rng& rng) { return make_case({.rows = 5, .k = 8}, 9, rng); }}};
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<MoeSumParams>(data.params);
  const auto parts = spec::from_bytes<float>(data.bindings[0].content);
  Expected y{.binding = 1};
  for (size_t t = 0; t < data.step[kStepTokens]; ++t) {
    for (size_t r = 0; r < p.rows; ++r) {
      double sum = 0;
      double magnitude = 0;
      for (size_t k = 0; k < p.k; ++k) {
        sum += parts[(t * p.k + k) * p.rows + r];
        magnitude += std::fabs(double{parts[(t * p.k + k) * p.rows + r]});
      }
      y.values.push_back(sum);
      y.scales.push_back(magnitude);
    }
  }
  return {y};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<MoeSumParams>(params);
  const uint64_t elements = uint64_t{step.n_tokens} * p.rows;
  return {.bytes = elements * (p.k + 1) * 4, .flops = elements * p.k};
}

}  // namespace

const KernelSpec& kernels::moe_sum_f32() {
  static const KernelSpec spec{
      .name = "moe_sum_f32",
      .formula = "y[t,r] = Σ_k parts[t,k,r]",
      .bindings = {{"parts", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[T, k, rows]"},
                   {"y", ElementType::kF32, Access::kWrite, BindingKind::kBuffer, "[T, rows]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"rows"}, {"k"}},
      .variants = {{.name = "portable", .text = "experts/moe_sum_f32/moe_sum_f32.kernel", .workgroup = 64}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 4, .why = "at most seven f32 additions, half an ulp each, against Σ|p|"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
