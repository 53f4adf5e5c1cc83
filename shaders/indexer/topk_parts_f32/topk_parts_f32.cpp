#include "shaders/indexer/topk_parts_f32/topk_parts_f32.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/indexer/topk_f32/topk_spec.h"

namespace nibble {
namespace {

using Params = TopkPartsParams;
using Sized = spec::ParamsAndStep<Params>;
using spec::Scores;

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::tokens_from(p.first_token, p.max_tokens), .y = GridDim::constant(topk_parts(p)), .z = {}};
}

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step, Scores kind) {
  const size_t rows = spec::topk_end_token(p, step) - p.first_token;
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(spec::topk_scores(rng, rows * p.stride, kind))});
  const std::vector<uint32_t> before(rows * topk_parts(p) * p.k, 0xdeadbeefu);
  data.bindings.push_back({.content = spec::to_bytes(before)});
  data.bindings.push_back({.content = spec::to_bytes(before)});
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
      add("longest_context", {.k = 512, .stride = 262144, .ratio = 4, .part_length = 16384},
          {.n_tokens = 1, .position = 1048000}, Scores::kNormal),
      add("chunk_from_the_start", {.k = 7, .stride = 40, .ratio = 4, .part_length = 11}, {.n_tokens = 157},
          Scores::kNormal),
      add("ties", {.k = 37, .stride = 1009, .ratio = 4, .part_length = 211}, {.n_tokens = 5, .position = 3000},
          Scores::kTies),
      add("infinities_and_nan", {.k = 60, .stride = 1000, .ratio = 4, .part_length = 64},
          {.n_tokens = 3, .position = 1601}, Scores::kHostile),
      add("second_tile_of_tokens",
          {.k = 9, .stride = 51, .ratio = 4, .first_token = 4, .max_tokens = 3, .part_length = 17},
          {.n_tokens = 11, .position = 190}, Scores::kTies),
      add("last_tile_of_tokens",
          {.k = 9, .stride = 51, .ratio = 4, .first_token = 8, .max_tokens = 4, .part_length = 9},
          {.n_tokens = 11, .position = 190}, Scores::kNormal),
      // More places to fill up than there are invocations.
      add("nothing_then_one_visible", {.k = 1100, .stride = 1120, .ratio = 4, .part_length = 1110}, {.n_tokens = 4},
          Scores::kNormal),
  };
}

// Written as what it must do: a larger score has a larger key, both zeros one, NaN the highest.
uint32_t key_of(float score) {
  if (std::isnan(score)) return UINT32_MAX;
  constexpr uint32_t kZero = 0x80000000u;
  const uint32_t magnitude = std::bit_cast<uint32_t>(std::abs(score));
  if (magnitude == 0) return kZero;
  return score > 0 ? kZero + magnitude : kZero - 1 - magnitude;
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto scores = spec::from_bytes<float>(data.bindings[0].content);
  Expected keys{.binding = 1};
  Expected ids{.binding = 2};
  keys.words = spec::from_bytes<uint32_t>(data.bindings[1].content);
  ids.words = spec::from_bytes<uint32_t>(data.bindings[2].content);
  for (uint32_t t = p.first_token; t < spec::topk_end_token(p, step); ++t) {
    const uint32_t visible = (step.position + t + 1) / p.ratio;
    const float* row = scores.data() + size_t{t - p.first_token} * p.stride;
    for (uint32_t part = 0; part * p.part_length < visible; ++part) {
      const uint32_t begin = part * p.part_length;
      std::vector<uint32_t> order = spec::topk_order(row, begin, std::min(begin + p.part_length, visible), p.k);
      std::sort(order.begin(), order.end());
      const size_t at = (size_t{t - p.first_token} * topk_parts(p) + part) * p.k;
      for (uint32_t i = 0; i < p.k; ++i) {
        keys.words[at + i] = i < order.size() ? key_of(row[order[i]]) : 0;
        ids.words[at + i] = i < order.size() ? order[i] : 0xffffffffu;
      }
    }
  }
  return {keys, ids};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  Cost total;
  for (uint32_t t = p.first_token; t < spec::topk_end_token(p, step); ++t) {
    const uint32_t visible = (step.position + t + 1) / p.ratio;
    total.bytes += 4 * (uint64_t{visible} + uint64_t{2} * p.k * spec::ceil_div(visible, p.part_length));
  }
  return total;
}

}  // namespace

const KernelSpec& kernels::topk_parts_f32() {
  static const KernelSpec spec = {
      .name = "topk_parts_f32",
      .formula =
          "part_ids[t, i] = ascending the indices of the min(k, length) largest of stretch i of the visible "
          "scores[t], part_keys[t, i] their keys",
      .bindings =
          {{.name = "scores", .shape = "[tokens, stride]"},
           {.name = "part_keys",
            .type = ElementType::kU32,
            .access = Access::kReadWrite,
            .shape = "[tokens, parts, k]"},
           {.name = "part_ids", .type = ElementType::kU32, .access = Access::kReadWrite, .shape = "[tokens, parts, k]"},
           {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"k"}, {"stride"}, {"ratio"}, {"first_token"}, {"max_tokens"}, {"part_length"}},
      .variants = spec::topk_variants(true, false),
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "keys and indices are exact"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
