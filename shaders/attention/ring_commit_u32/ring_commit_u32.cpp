#include "shaders/attention/ring_commit_u32/ring_commit_u32.h"

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<RingParams>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.row_words, variant.workgroup)), .y = GridDim::tokens()};
}

CaseData make_case(const RingParams& p, const StepHeader& step, Rng& rng) {
  CaseData data{.params = pack_params(p), .step = spec::step_words(step)};
  for (const size_t rows : {step.n_tokens, p.slots}) {
    data.bindings.push_back({.content = spec::to_bytes(spec::random_bytes(rng, rows * p.row_words * 4))});
  }
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  return {
      {"one_token",
       [](Rng& rng) { return make_case({.row_words = 146, .slots = 16}, {.n_tokens = 1, .position = 37}, rng); }},
      {"wraps_around",
       [](Rng& rng) { return make_case({.row_words = 17, .slots = 7}, {.n_tokens = 5, .position = 4}, rng); }},
      {"chunk_longer_than_the_ring",
       [](Rng& rng) { return make_case({.row_words = 67, .slots = 5}, {.n_tokens = 17, .position = 3}, rng); }},
      {"ring_not_yet_full", [](Rng& rng) { return make_case({.row_words = 3, .slots = 128}, {.n_tokens = 3}, rng); }}};
}

// In order, so that of two tokens for one slot the later one stays.
std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<RingParams>(data.params);
  const auto src = spec::from_bytes<uint32_t>(data.bindings[0].content);
  const StepHeader step = read_step_header(data.step);
  Expected ring{.binding = 1, .words = spec::from_bytes<uint32_t>(data.bindings[1].content)};
  for (size_t t = 0; t < step.n_tokens; ++t) {
    const size_t slot = (step.position + t) % p.slots;
    for (size_t w = 0; w < p.row_words; ++w) ring.words[slot * p.row_words + w] = src[t * p.row_words + w];
  }
  return {ring};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  return {.bytes = uint64_t{step.n_tokens} * unpack_params<RingParams>(params).row_words * 8, .flops = 0};
}

}  // namespace

const KernelSpec& kernels::ring_commit_u32() {
  static const KernelSpec spec{
      .name = "ring_commit_u32",
      .formula = "ring[(position + t) mod slots, :] = src[t, :] for the last min(n_tokens, slots) tokens t",
      .bindings = {{"src", ElementType::kU32, Access::kRead, BindingKind::kBuffer, "[T, row_words]"},
                   {"ring", ElementType::kU32, Access::kReadWrite, BindingKind::kBuffer, "[slots, row_words]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"row_words"}, {"slots"}},
      .variants = {{.name = "portable", .text = "attention/ring_commit_u32/ring_commit_u32.kernel", .workgroup = 64}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "a copy"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
