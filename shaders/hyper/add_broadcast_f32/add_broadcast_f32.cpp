#include "shaders/hyper/add_broadcast_f32/add_broadcast_f32.h"

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<AddParams>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.cols * p.copies, variant.workgroup)), .y = GridDim::tokens()};
}

CaseData make_case(const AddParams& p, const StepHeader& step, Rng& rng) {
  const size_t count = size_t{step.n_tokens} * p.copies * p.cols;
  CaseData data{.params = pack_params(p), .step = spec::step_words(step)};
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, count))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, count / p.copies))});
  data.bindings.push_back(spec::blank(count));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  return {{"one_token", [](Rng& rng) { return make_case({.cols = 97, .copies = 4}, {.n_tokens = 1}, rng); }},
          {"chunk", [](Rng& rng) { return make_case({.cols = 40, .copies = 3}, {.n_tokens = 17}, rng); }},
          {"one_copy", [](Rng& rng) { return make_case({.cols = 5, .copies = 1}, {.n_tokens = 3}, rng); }}};
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<AddParams>(data.params);
  const auto a = spec::from_bytes<float>(data.bindings[0].content);
  const auto b = spec::from_bytes<float>(data.bindings[1].content);
  Expected x{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t token = i / (size_t{p.copies} * p.cols);
    x.values.push_back(double{a[i]} + b[token * p.cols + i % p.cols]);
  }
  return {x};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<AddParams>(params);
  const uint64_t elements = uint64_t{step.n_tokens} * p.copies * p.cols;
  return {.bytes = elements * 8 + uint64_t{step.n_tokens} * p.cols * 4, .flops = elements};
}

}  // namespace

const KernelSpec& kernels::add_broadcast_f32() {
  static const KernelSpec spec{
      .name = "add_broadcast_f32",
      .formula = "x[t,c,:] = a[t,c,:] + b[t,:]",
      .bindings = {{"a", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[T, copies, cols]"},
                   {"b", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[T, cols]"},
                   {"x", ElementType::kF32, Access::kWrite, BindingKind::kBuffer, "[T, copies, cols]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"cols"}, {"copies"}},
      .variants = {{.name = "portable", .text = "hyper/add_broadcast_f32/add_broadcast_f32.kernel", .workgroup = 64}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 1, .why = "one addition"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
