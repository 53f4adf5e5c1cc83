#include "shaders/indexer/topk_f32/topk_f32.h"

#include <algorithm>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/indexer/topk_f32/topk_spec.h"

namespace nibble {
namespace {

using Params = TopkParams;
using Sized = spec::ParamsAndStep<Params>;
using spec::Scores;

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::tokens_from(p.first_token, p.max_tokens), .y = {}, .z = {}};
}

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step, Scores kind) {
  const size_t rows = spec::topk_end_token(p, step) - p.first_token;
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(spec::topk_scores(rng, rows * p.stride, kind))});
  data.bindings.push_back(
      {.content = spec::to_bytes(std::vector<uint32_t>(step.n_tokens * (size_t{p.k} + 1), 0xdeadbeefu))});
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step, Scores kind) {
    const auto make = [kind](Rng& rng, const Params& params, const StepHeader& header) {
      return make_case(rng, params, header, kind);
    };
    return spec::sized_case(std::move(name), p, step, make,
                            {{"k", [](Sized& s) -> uint32_t& { return s.params.k; }},
                             {"position", [](Sized& s) -> uint32_t& { return s.step.position; }}});
  };
  return {
      add("longest_context", {.k = 1024, .stride = 262144, .ratio = 4}, {.n_tokens = 1, .position = 1048575},
          Scores::kNormal),
      add("chunk_from_the_start", {.k = 8, .stride = 30, .ratio = 4}, {.n_tokens = 61}, Scores::kNormal),
      add("ties", {.k = 37, .stride = 1009, .ratio = 4}, {.n_tokens = 5, .position = 3000}, Scores::kTies),
      add("infinities_and_nan", {.k = 200, .stride = 1000, .ratio = 4}, {.n_tokens = 3, .position = 1601},
          Scores::kHostile),
      add("second_tile_of_tokens", {.k = 9, .stride = 51, .ratio = 4, .first_token = 4, .max_tokens = 3},
          {.n_tokens = 11, .position = 190}, Scores::kTies),
      add("last_tile_of_tokens", {.k = 9, .stride = 51, .ratio = 4, .first_token = 8, .max_tokens = 4},
          {.n_tokens = 11, .position = 190}, Scores::kNormal),
      add("nothing_visible", {.k = 4, .stride = 2, .ratio = 4}, {.n_tokens = 2}, Scores::kNormal),
      add("exactly_k", {.k = 50, .stride = 53, .ratio = 4}, {.n_tokens = 9, .position = 197}, Scores::kTies),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto scores = spec::from_bytes<float>(data.bindings[0].content);
  Expected ids{.binding = 1};
  ids.words = spec::from_bytes<uint32_t>(data.bindings[1].content);
  for (uint32_t t = p.first_token; t < spec::topk_end_token(p, step); ++t) {
    const float* row = scores.data() + size_t{t - p.first_token} * p.stride;
    std::vector<uint32_t> order = spec::topk_order(row, 0, (step.position + t + 1) / p.ratio, p.k);
    std::sort(order.begin(), order.end());
    uint32_t* out = ids.words.data() + size_t{t} * (p.k + 1);
    std::fill_n(out + 1, p.k, 0xffffffffu);
    *out = static_cast<uint32_t>(order.size());
    std::copy(order.begin(), order.end(), out + 1);
  }
  return {ids};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  Cost total;
  for (uint32_t t = p.first_token; t < spec::topk_end_token(p, step); ++t) {
    total.bytes += 4 * (uint64_t{step.position + t + 1} / p.ratio + p.k + 1);
  }
  return total;
}

}  // namespace

const KernelSpec& kernels::topk_f32() {
  static const KernelSpec spec = {
      .name = "topk_f32",
      .formula = "ids[t] = n, then ascending the indices of the n = min(k, visible) largest of scores[t]",
      .bindings = {{.name = "scores", .shape = "[tokens, stride]"},
                   {.name = "ids", .type = ElementType::kU32, .access = Access::kReadWrite, .shape = "[tokens, k + 1]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"k"}, {"stride"}, {"ratio"}, {"first_token"}, {"max_tokens"}},
      .variants = spec::topk_variants(false, false),
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "indices are exact"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
