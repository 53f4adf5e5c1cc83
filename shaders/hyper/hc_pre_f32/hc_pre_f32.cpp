#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"

#include "runtime/core/kernel_table.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_reference.h"

namespace nibble {
namespace {

using Params = HcPreParams;
using Sized = spec::ParamsAndStep<Params>;

Grid grid(std::span<const std::byte>, const Variant&) { return {.x = GridDim::tokens(), .y = {}, .z = {}}; }

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step) {
  const size_t tokens = step.n_tokens;
  const size_t rows = size_t{p.copies} * (p.copies + 2);
  CaseData data = spec::hc_case(rng, {.tokens = tokens, .cols = p.cols, .copies = p.copies, .rows = rows, .scales = 3});
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back(spec::blank(tokens * p.cols));
  data.bindings.push_back(spec::blank(tokens * p.copies));
  data.bindings.push_back(spec::blank(tokens * p.copies * p.copies));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    p.norm_eps = 1e-6f;
    if (p.hc_eps == 0) p.hc_eps = 1e-6f;
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"cols", [](Sized& s) -> uint32_t& { return s.params.cols; }},
                             {"copies", [](Sized& s) -> uint32_t& { return s.params.copies; }},
                             {"sinkhorn_iters", [](Sized& s) -> uint32_t& { return s.params.sinkhorn_iters; }}});
  };
  return {
      add("4_copies_1_token", {.cols = 4096, .copies = 4, .sinkhorn_iters = 20}, {.n_tokens = 1}),
      add("2_copies_odd_width", {.cols = 67, .copies = 2, .sinkhorn_iters = 7}, {.n_tokens = 5, .position = 9}),
      add("3_copies_narrow", {.cols = 13, .copies = 3, .sinkhorn_iters = 2}, {.n_tokens = 2}),
      add("19_tokens", {.cols = 52, .copies = 4, .sinkhorn_iters = 4}, {.n_tokens = 19}),
      add("8_copies", {.cols = 130, .copies = 8, .sinkhorn_iters = 3}, {.n_tokens = 3}),
      // A large epsilon shows in which order rows and columns are divided, and how often.
      add("1_pass", {.cols = 256, .copies = 4, .sinkhorn_iters = 1, .hc_eps = 0.0625f}, {.n_tokens = 4}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const size_t rows = size_t{p.copies} * (p.copies + 2);
  const spec::HcInputs in = spec::hc_inputs(data);
  const auto mixes = [&](std::span<const float> streams, size_t) {
    return spec::hc_mixes(streams, in.fn, rows, double{p.norm_eps});
  };
  return hc_pre_expected(p, in, 5, mixes);
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t width = uint64_t{p.copies} * p.cols;
  const uint64_t rows = uint64_t{p.copies} * (p.copies + 2);
  return {.bytes = 4 * (rows * width + step.n_tokens * (width + p.cols)),
          .flops = step.n_tokens * width * 2 * (rows + 2)};
}

}  // namespace

const KernelSpec& kernels::hc_pre_f32() {
  static const KernelSpec spec = {
      .name = "hc_pre_f32",
      .formula =
          "m = (X·fnᵀ)·rsqrt(mean(X²)+eps); pre, post, comb = split(m); x = RMSNorm(Σ_j pre_j·X_j); "
          "X [tokens, copies, cols]",
      .bindings = hc_pre_bindings({.name = "fn", .shape = "[copies·(copies+2), copies·cols]"}),
      .params = {{"cols"}, {"copies"}, {"sinkhorn_iters"}, {"norm_eps", true}, {"hc_eps", true}},
      .variants = {{.name = "portable",
                    .text = "hyper/hc_pre_f32/hc_pre_f32.kernel",
                    .workgroup = 128,
                    .constants = {{"JOINED", 0}},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}, {"mixes", ElementType::kF32, "96"}},
                    .requires_ = {}},
                   // A token's sums over all copies keep one multiprocessor busy; 128 invocations do not.
                   {.name = "wg1024",
                    .text = "hyper/hc_pre_f32/hc_pre_f32.kernel",
                    .workgroup = 1024,
                    .constants = {{"JOINED", 0}},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}, {"mixes", ElementType::kF32, "96"}},
                    .requires_ = {}},
                   {.name = "wide",
                    .text = "hyper/hc_pre_f32/hc_pre_f32.kernel",
                    .workgroup = 8,
                    .constants = {{"JOINED", 0}},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}, {"mixes", ElementType::kF32, "96"}},
                    .requires_ = {},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64,
                    .why = "dot products of up to 16384 f32 (absolute error of a mix about 1e-6 at size 1), exp in a "
                           "sigmoid (3 ulp + 2 per unit of its argument), then 20 passes of 2.5 ulp divisions that "
                           "contract errors"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
