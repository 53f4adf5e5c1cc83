#include "shaders/indexer/topk_join_u32/topk_join_u32.h"

#include <algorithm>
#include <numeric>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/indexer/topk_f32/topk_spec.h"

namespace nibble {
namespace {

using Params = TopkJoinParams;
using Sized = spec::ParamsAndStep<Params>;

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::tokens_from(p.first_token, p.max_tokens), .y = {}, .z = {}};
}

// Any keys and any ascending ids will do. `distinct` keys, so many that each occurs several times; the lowest is 0, as
// that of what fills a short stretch up.
CaseData make_case(Rng& rng, const Params& p, const StepHeader& step, uint32_t distinct) {
  const uint32_t k = p.k;
  const size_t rows = spec::topk_end_token(p, step) - p.first_token;
  std::vector<uint32_t> keys(rows * topk_parts(p) * k, 0xdeadbeefu);
  std::vector<uint32_t> ids = keys;
  for (size_t row = 0; row < rows; ++row) {
    const uint32_t visible = (step.position + p.first_token + static_cast<uint32_t>(row) + 1) / p.ratio;
    for (uint32_t part = 0; part * p.part_length < visible; ++part) {
      const uint32_t length = std::min(visible - part * p.part_length, p.part_length);
      const size_t at = (row * topk_parts(p) + part) * k;
      uint32_t id = part * p.part_length;
      for (uint32_t i = 0; i < k; ++i) {
        const bool filled = i >= std::min(k, length);
        keys[at + i] = filled ? 0 : rng.below(distinct) * (0xffffffffu / distinct);
        ids[at + i] = filled ? 0xffffffffu : id++;
        if (!filled && id < part * p.part_length + length - (std::min(k, length) - i)) id += rng.below(2);
      }
    }
  }
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(keys)});
  data.bindings.push_back({.content = spec::to_bytes(ids)});
  data.bindings.push_back(
      {.content = spec::to_bytes(std::vector<uint32_t>(step.n_tokens * (size_t{k} + 1), 0xdeadbeefu))});
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step, uint32_t distinct) {
    const auto make = [distinct](Rng& rng, const Params& params, const StepHeader& header) {
      return make_case(rng, params, header, distinct);
    };
    return spec::sized_case(std::move(name), p, step, make,
                            {{"k", [](Sized& s) -> uint32_t& { return s.params.k; }},
                             {"position", [](Sized& s) -> uint32_t& { return s.step.position; }}});
  };
  constexpr uint32_t kMany = 1u << 30;
  return {
      add("longest_context", {.k = 512, .stride = 262144, .ratio = 4, .part_length = 16384},
          {.n_tokens = 1, .position = 1048000}, kMany),
      add("chunk_from_the_start", {.k = 7, .stride = 40, .ratio = 4, .part_length = 11}, {.n_tokens = 157}, kMany),
      add("ties", {.k = 37, .stride = 1009, .ratio = 4, .part_length = 211}, {.n_tokens = 5, .position = 3000}, 5),
      add("lowest_keys", {.k = 50, .stride = 115, .ratio = 4, .part_length = 57}, {.n_tokens = 3, .position = 457}, 2),
      add("second_tile_of_tokens",
          {.k = 9, .stride = 51, .ratio = 4, .first_token = 4, .max_tokens = 3, .part_length = 17},
          {.n_tokens = 11, .position = 190}, 4),
      add("last_tile_of_tokens",
          {.k = 9, .stride = 51, .ratio = 4, .first_token = 8, .max_tokens = 4, .part_length = 9},
          {.n_tokens = 11, .position = 190}, kMany),
      add("nothing_visible", {.k = 4, .stride = 12, .ratio = 4, .part_length = 5}, {.n_tokens = 2}, kMany),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto keys = spec::from_bytes<uint32_t>(data.bindings[0].content);
  const auto part_ids = spec::from_bytes<uint32_t>(data.bindings[1].content);
  Expected ids{.binding = 2};
  ids.words = spec::from_bytes<uint32_t>(data.bindings[2].content);
  for (uint32_t t = p.first_token; t < spec::topk_end_token(p, step); ++t) {
    const uint32_t visible = (step.position + t + 1) / p.ratio;
    const size_t first = size_t{t - p.first_token} * topk_parts(p) * p.k;
    std::vector<size_t> order(size_t{spec::ceil_div(visible, p.part_length)} * p.k);
    std::iota(order.begin(), order.end(), first);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] > keys[b]; });
    order.resize(std::min(visible, p.k));
    std::sort(order.begin(), order.end());
    uint32_t* out = ids.words.data() + size_t{t} * (p.k + 1);
    *out++ = static_cast<uint32_t>(order.size());
    std::fill_n(out, p.k, 0xffffffffu);
    for (const size_t i : order) *out++ = part_ids[i];
  }
  return {ids};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  Cost total;
  for (uint32_t t = p.first_token; t < spec::topk_end_token(p, step); ++t) {
    const uint32_t visible = (step.position + t + 1) / p.ratio;
    total.bytes += 4 * (uint64_t{p.k} * spec::ceil_div(visible, p.part_length) + uint64_t{2} * p.k + 1);
  }
  return total;
}

}  // namespace

const KernelSpec& kernels::topk_join_u32() {
  static const KernelSpec spec = {
      .name = "topk_join_u32",
      .formula = "ids[t] = n, then in their order the part_ids[t] of the n = min(k, visible) largest part_keys[t]",
      .bindings = {{.name = "part_keys", .type = ElementType::kU32, .shape = "[tokens, parts, k]"},
                   {.name = "part_ids", .type = ElementType::kU32, .shape = "[tokens, parts, k]"},
                   {.name = "ids", .type = ElementType::kU32, .access = Access::kReadWrite, .shape = "[tokens, k + 1]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"k"}, {"stride"}, {"ratio"}, {"first_token"}, {"max_tokens"}, {"part_length"}},
      .variants = spec::topk_variants(false, true),
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "indices are exact"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
