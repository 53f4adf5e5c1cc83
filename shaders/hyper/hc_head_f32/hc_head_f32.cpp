#include "shaders/hyper/hc_head_f32/hc_head_f32.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/hyper_connection_reference.h"

namespace nibble {
namespace {

using Params = HcHeadParams;
using Sized = spec::ParamsAndStep<Params>;

Grid grid(std::span<const std::byte>, const Variant&) { return {.x = GridDim::logits(), .y = {}, .z = {}}; }

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step) {
  CaseData data =
      spec::hc_case(rng, {.tokens = step.n_tokens, .cols = p.cols, .copies = p.copies, .rows = p.copies, .scales = 1});
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back(spec::blank(std::max(step.n_logits, 1u) * size_t{p.cols}));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    if (p.norm_eps == 0) p.norm_eps = 1e-6f;
    p.hc_eps = 1e-6f;
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"cols", [](Sized& s) -> uint32_t& { return s.params.cols; }},
                             {"copies", [](Sized& s) -> uint32_t& { return s.params.copies; }}});
  };
  return {
      add("4_copies_last_token", {.cols = 4096, .copies = 4}, {.n_tokens = 3, .n_logits = 1, .logits_first = 2}),
      add("2_copies_all_tokens", {.cols = 67, .copies = 2}, {.n_tokens = 5, .position = 9, .n_logits = 5}),
      add("8_copies_middle", {.cols = 131, .copies = 8}, {.n_tokens = 6, .n_logits = 3, .logits_first = 2}),
      add("7_copies", {.cols = 19, .copies = 7}, {.n_tokens = 2, .n_logits = 2}),
      // The norm of a single copy would cancel its weight, but for a large epsilon.
      add("1_copy", {.cols = 1031, .copies = 1, .norm_eps = 4}, {.n_tokens = 2, .n_logits = 1, .logits_first = 1}),
      add("6_copies", {.cols = 175, .copies = 6}, {.n_tokens = 2, .n_logits = 2}),
      add("no_logits", {.cols = 64, .copies = 4}, {.n_tokens = 2}),
      add("5_copies", {.cols = 209, .copies = 5}, {.n_tokens = 1, .n_logits = 1}),
      add("3_copies", {.cols = 349, .copies = 3}, {.n_tokens = 1, .n_logits = 1}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const spec::HcInputs in = spec::hc_inputs(data);
  const size_t width = size_t{p.copies} * p.cols;
  Expected y{.binding = 5};
  for (size_t i = 0; i < data.step[kStepLogits]; ++i) {
    const auto x = std::span(in.streams).subspan((data.step[kStepLogitsFirst] + i) * width, width);
    std::vector<double> pre = spec::hc_mixes(x, in.fn, p.copies, double{p.norm_eps});
    for (size_t j = 0; j < pre.size(); ++j) {
      pre[j] = spec::sigmoid(pre[j] * in.scale[0] + in.base[j]) + double{p.hc_eps};
    }
    spec::hc_collapse(y, pre, x, in.norm, double{p.norm_eps});
  }
  if (y.values.empty()) y.values.assign(p.cols, kUntouched);  // nothing may be written
  return {y};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t width = uint64_t{p.copies} * p.cols;
  return {.bytes = 4 * (p.copies * width + step.n_logits * (width + p.cols)),
          .flops = step.n_logits * width * 2 * (p.copies + 2)};
}

}  // namespace

const KernelSpec& kernels::hc_head_f32() {
  static const KernelSpec spec = {
      .name = "hc_head_f32",
      .formula = "y[i] = RMSNorm(Σ_j pre_j·X[t,j]), pre = σ(m·scale + base) + hc_eps, m = (X·fnᵀ)·rsqrt(mean(X²)+eps)",
      .bindings = {{.name = "streams", .shape = "[tokens, copies, cols]"},
                   {.name = "fn", .shape = "[copies, copies·cols]"},
                   {.name = "base", .shape = "[copies]"},
                   {.name = "scale", .shape = "[1]"},
                   {.name = "norm", .shape = "[cols]"},
                   {.name = "y", .access = Access::kWrite, .shape = "[n_logits, cols]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"cols"}, {"copies"}, {"norm_eps", true}, {"hc_eps", true}},
      .variants = {{.name = "portable",
                    .text = "hyper/hc_head_f32/hc_head_f32.kernel",
                    .workgroup = 128,
                    .constants = {},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}, {"mixes", ElementType::kF32, "16"}},
                    .requires_ = {}},
                   // A token's sums over all copies keep one multiprocessor busy; 128 invocations do not.
                   {.name = "wg1024",
                    .text = "hyper/hc_head_f32/hc_head_f32.kernel",
                    .workgroup = 1024,
                    .constants = {},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}, {"mixes", ElementType::kF32, "16"}},
                    .requires_ = {}},
                   {.name = "wide",
                    .text = "hyper/hc_head_f32/hc_head_f32.kernel",
                    .workgroup = 8,
                    .constants = {},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}, {"mixes", ElementType::kF32, "16"}},
                    .requires_ = {},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64,
                    .why = "dot products of up to 16384 f32 (absolute error of a mix about 1e-6 at size 1) and exp in "
                           "a sigmoid (3 ulp + 2 per unit of its argument)"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
