#include "shaders/hyper/hc_pre_join_f32/hc_pre_join_f32.h"

#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_reference.h"

namespace nibble {
namespace {

using Params = HcPreJoinParams;
using Sized = spec::ParamsAndStep<Params>;

Grid grid(std::span<const std::byte>, const Variant&) { return {.x = GridDim::tokens(), .y = {}, .z = {}}; }

size_t sums_of_part(const HcPreParams& p) { return size_t{p.copies} * (p.copies + 2) + 1; }

// Mixes of size 1, as if X were of size 2. The sums need not belong to X: only their own sizes matter.
std::vector<float> part_sums(Rng& rng, const Params& p, size_t tokens) {
  const size_t count = sums_of_part(p.pre);
  std::vector<float> sums = spec::normal_floats(rng, tokens * p.parts * count, 2 / std::sqrt(p.parts));
  const double squares = 4.0 * p.pre.copies * p.pre.cols / p.parts;
  for (size_t at = count - 1; at < sums.size(); at += count) {
    sums[at] = static_cast<float>(squares * rng.uniform(0.5, 1.5));
  }
  return sums;
}

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step) {
  const size_t tokens = step.n_tokens;
  CaseData data = spec::hc_case(
      rng,
      {.tokens = tokens, .cols = p.pre.cols, .copies = p.pre.copies, .rows = sums_of_part(p.pre) - 1, .scales = 3});
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings[1] = {.content = spec::to_bytes(part_sums(rng, p, tokens))};
  data.bindings.push_back(spec::blank(tokens * p.pre.cols));
  data.bindings.push_back(spec::blank(tokens * p.pre.copies));
  data.bindings.push_back(spec::blank(tokens * p.pre.copies * p.pre.copies));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, HcPreParams pre, uint32_t parts, StepHeader step) {
    pre.norm_eps = 1e-6f;
    if (pre.hc_eps == 0) pre.hc_eps = 1e-6f;
    const Params p = {.pre = pre, .parts = parts};
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"cols", [](Sized& s) -> uint32_t& { return s.params.pre.cols; }},
                             {"copies", [](Sized& s) -> uint32_t& { return s.params.pre.copies; }},
                             {"parts", [](Sized& s) -> uint32_t& { return s.params.parts; }}});
  };
  return {
      add("released_shape", {.cols = 4096, .copies = 4, .sinkhorn_iters = 20}, 32, {.n_tokens = 2}),
      add("one_part_odd_width", {.cols = 67, .copies = 2, .sinkhorn_iters = 7}, 1, {.n_tokens = 5, .position = 9}),
      add("3_copies_narrow", {.cols = 13, .copies = 3, .sinkhorn_iters = 2}, 64, {.n_tokens = 2}),
      add("8_copies", {.cols = 130, .copies = 8, .sinkhorn_iters = 3}, 12, {.n_tokens = 3}),
      // An epsilon so large that it matters where it is added, and which of the two.
      add("1_pass", {.cols = 256, .copies = 4, .sinkhorn_iters = 1, .hc_eps = 0.0625f}, 5, {.n_tokens = 4}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const spec::HcInputs in = spec::hc_inputs(data);
  const size_t count = sums_of_part(p.pre);
  const auto mixes = [&](std::span<const float> streams, size_t t) {
    std::vector<double> sums(count);
    for (size_t i = 0; i < p.parts * count; ++i) sums[i % count] += in.fn[t * p.parts * count + i];
    const double inverse_rms =
        1 / std::sqrt(sums.back() / static_cast<double>(streams.size()) + double{p.pre.norm_eps});
    sums.pop_back();
    for (double& sum : sums) sum *= inverse_rms;
    return sums;
  };
  return hc_pre_expected(p.pre, in, 5, mixes);
}

Variant variant(std::string_view name, uint32_t workgroup) {
  return {.name = name,
          .text = "hyper/hc_pre_f32/hc_pre_f32.kernel",
          .workgroup = workgroup,
          .constants = {{"JOINED", 1}, {"SUMS", kHcMostSums}},
          .shared = {{"partial", ElementType::kF32, "SUMS"}, {"mixes", ElementType::kF32, "96"}},
          .requires_ = {}};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t width = uint64_t{p.pre.copies} * p.pre.cols;
  const uint64_t sums = p.parts * sums_of_part(p.pre);
  return {.bytes = 4 * step.n_tokens * (width + p.pre.cols + sums), .flops = step.n_tokens * (width * 2 + sums)};
}

}  // namespace

const KernelSpec& kernels::hc_pre_join_f32() {
  static const KernelSpec spec = {
      .name = "hc_pre_join_f32",
      .formula =
          "m = (sum_i part_sums[t,i,:])·rsqrt(mean(X²)+eps); pre, post, comb = split(m); x = RMSNorm(Σ_j pre_j·X_j; "
          "norm); X [tokens, copies, cols]",
      .bindings = hc_pre_bindings({.name = "part_sums", .shape = "[tokens, parts, copies·(copies+2) + 1]"}),
      .params = {{"cols"}, {"copies"}, {"sinkhorn_iters"}, {"norm_eps", true}, {"hc_eps", true}, {"parts"}},
      .variants = {variant("portable", 256), variant("wg1024", kHcMostSums)},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64, .why = "as in hc_pre_f32, whose mixes have the same error: exp, then 20 passes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
