#include "shaders/experts/swiglu_f32/swiglu_f32.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<SwigluParams>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.cols, variant.workgroup)), .y = GridDim::tokens()};
}

CaseData make_case(const SwigluParams& p, const StepHeader& step, Rng& rng) {
  const size_t count = size_t{step.n_tokens} * p.cols;
  std::vector<float> g = spec::normal_floats(rng, count, 4);
  for (size_t i = 0; i < count; i += 29) g[i] *= 50;  // e^-g beyond f32 on one side, 1 on the other
  CaseData data{.params = pack_params(p), .step = spec::step_words(step)};
  data.bindings.push_back({.content = spec::to_bytes(g)});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, count, 4))});
  data.bindings.push_back(spec::blank(count));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  return {{"one_token", [](Rng& rng) { return make_case({.cols = 193, .limit = 10}, {.n_tokens = 1}, rng); }},
          {"tight_limit", [](Rng& rng) { return make_case({.cols = 64, .limit = 1}, {.n_tokens = 17}, rng); }},
          {"below_a_workgroup", [](Rng& rng) { return make_case({.cols = 7, .limit = 3}, {.n_tokens = 3}, rng); }}};
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<SwigluParams>(data.params);
  const auto g = spec::from_bytes<float>(data.bindings[0].content);
  const auto u = spec::from_bytes<float>(data.bindings[1].content);
  const double limit = p.limit;
  Expected h{.binding = 2};
  for (size_t i = 0; i < g.size(); ++i) {
    const double gate = std::min(double{g[i]}, limit);
    h.values.push_back(gate / (1 + std::exp(-gate)) * std::clamp(double{u[i]}, -limit, limit));
  }
  return {h};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const uint64_t elements = uint64_t{step.n_tokens} * unpack_params<SwigluParams>(params).cols;
  return {.bytes = elements * 12, .flops = elements * 8};
}

}  // namespace

const KernelSpec& kernels::swiglu_f32() {
  static const KernelSpec spec{
      .name = "swiglu_f32",
      .formula = "h[t,i] = silu(min(g[t,i], limit))·clamp(u[t,i], ±limit)",
      .bindings = {{"g", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[T, cols]"},
                   {"u", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[T, cols]"},
                   {"h", ElementType::kF32, Access::kWrite, BindingKind::kBuffer, "[T, cols]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"cols"}, {"limit", true}},
      .variants = {{.name = "portable", .text = "experts/swiglu_f32/swiglu_f32.kernel", .workgroup = 64}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 128,
                    .absolute = 1e-12,
                    .why = "exp may be off by 3 + 2|x| ulp, |x| < 50 where the result is above 1e-12"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
