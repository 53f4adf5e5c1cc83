#include "shaders/hyper/hc_post_f32/hc_post_f32.h"

#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

using Params = HcPostParams;
using Sized = spec::ParamsAndStep<Params>;

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.cols, variant.workgroup)), .y = GridDim::tokens(), .z = {}};
}

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step) {
  const size_t tokens = step.n_tokens;
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, tokens * p.cols, 2))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, tokens * p.copies))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, tokens * p.copies * p.copies))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, tokens * p.copies * p.cols))});
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"cols", [](Sized& s) -> uint32_t& { return s.params.cols; }},
                             {"copies", [](Sized& s) -> uint32_t& { return s.params.copies; }}});
  };
  return {
      add("4_copies", {.cols = 4096, .copies = 4}, {.n_tokens = 1}),
      add("2_copies_5_tokens", {.cols = 67, .copies = 2}, {.n_tokens = 5, .position = 3}),
      add("3_copies_below_a_tile", {.cols = 13, .copies = 3}, {.n_tokens = 2}),
      add("8_copies", {.cols = 130, .copies = 8}, {.n_tokens = 3}),
      add("1_copy", {.cols = 64, .copies = 1}, {.n_tokens = 2}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const auto f = spec::from_bytes<float>(data.bindings[0].content);
  const auto post = spec::from_bytes<float>(data.bindings[1].content);
  const auto comb = spec::from_bytes<float>(data.bindings[2].content);
  const auto streams = spec::from_bytes<float>(data.bindings[3].content);
  Expected out{.binding = 3};
  for (size_t t = 0; t < f.size() / p.cols; ++t) {
    for (size_t k = 0; k < p.copies; ++k) {
      for (size_t d = 0; d < p.cols; ++d) {
        double sum = double{post[t * p.copies + k]} * f[t * p.cols + d];
        double magnitude = std::abs(sum);
        for (size_t j = 0; j < p.copies; ++j) {
          const double term =
              double{comb[(t * p.copies + j) * p.copies + k]} * streams[(t * p.copies + j) * p.cols + d];
          sum += term;
          magnitude += std::abs(term);
        }
        out.values.push_back(sum);
        out.scales.push_back(magnitude);
      }
    }
  }
  return {out};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t columns = uint64_t{step.n_tokens} * p.cols;
  return {.bytes = columns * 4 * (1 + 2 * p.copies), .flops = columns * 2 * p.copies * (1 + p.copies)};
}

}  // namespace

const KernelSpec& kernels::hc_post_f32() {
  static const KernelSpec spec = {
      .name = "hc_post_f32",
      .formula = "X[t,k,:] = post[t,k]·f[t,:] + Σ_j comb[t,j,k]·X[t,j,:]; X [tokens, copies, cols]",
      .bindings = {{.name = "f", .shape = "[tokens, cols]"},
                   {.name = "post", .shape = "[tokens, copies]"},
                   {.name = "comb", .shape = "[tokens, copies, copies]"},
                   {.name = "streams", .access = Access::kReadWrite, .shape = "[tokens, copies, cols]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"cols"}, {"copies"}},
      .variants = {{.name = "portable",
                    .text = "hyper/hc_post_f32/hc_post_f32.kernel",
                    .workgroup = 64,
                    .constants = {},
                    .shared = {},
                    .requires_ = {}}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 6, .why = "a sum of up to 9 products of f32, half an ulp each step"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
