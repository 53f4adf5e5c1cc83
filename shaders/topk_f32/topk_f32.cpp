#include "shaders/topk_f32/topk_f32.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

using Params = TopkParams;

// Tokens [first_token, end) of the chunk that get ids.
uint32_t end_token(const Params& p, const StepHeader& step) {
  return static_cast<uint32_t>(std::min<uint64_t>(step.n_tokens, uint64_t{p.first_token} + p.max_tokens));
}

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::tokens_from(p.first_token, p.max_tokens), .y = {}, .z = {}};
}

enum class Scores { kNormal, kTies, kHostile };

std::vector<float> make_scores(Rng& rng, size_t count, Scores kind) {
  std::vector<float> scores = spec::normal_floats(rng, count);
  for (float& score : scores) {
    if (kind == Scores::kTies) score = static_cast<float>(static_cast<int>(rng.below(5)) - 2);
    if (kind == Scores::kTies && score == 0 && rng.below(2) == 0) score = -0.0f;
    if (kind != Scores::kHostile || rng.below(3) != 0) continue;
    constexpr float kOdd[] = {std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN(),
                              0.0f,
                              -0.0f,
                              3e38f};
    score = kOdd[rng.below(std::size(kOdd))];
  }
  return scores;
}

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step, Scores kind) {
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back(
      {.content = spec::to_bytes(make_scores(rng, size_t{end_token(p, step) - p.first_token} * p.stride, kind))});
  data.bindings.push_back(
      {.content = spec::to_bytes(std::vector<uint32_t>(step.n_tokens * (size_t{p.k} + 1), 0xdeadbeefu))});
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step, Scores kind) {
    return KernelCase{std::move(name), [p, step, kind](Rng& rng) { return make_case(rng, p, step, kind); }};
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
  for (uint32_t t = p.first_token; t < end_token(p, step); ++t) {
    const float* row = scores.data() + size_t{t - p.first_token} * p.stride;
    std::vector<uint32_t> order((step.position + t + 1) / p.ratio);
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      if (std::isnan(row[a]) || std::isnan(row[b])) return !std::isnan(row[a]);
      return row[a] > row[b];
    });
    order.resize(std::min<size_t>(order.size(), p.k));
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
  for (uint32_t t = p.first_token; t < end_token(p, step); ++t) {
    total.bytes += 4 * (uint64_t{step.position + t + 1} / p.ratio + p.k + 1);
  }
  return total;
}

std::vector<SharedArray> shared_arrays() {
  return {{"histogram", ElementType::kU32, "256"},
          {"counts", ElementType::kU32, "2 * WG"},
          {"sums", ElementType::kU32, "WG / 8 + 16"}};
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
      .variants = {{.name = "portable",
                    .text = "topk_f32/topk_f32.kernel",
                    .workgroup = 128,
                    .constants = {},
                    .shared = shared_arrays(),
                    .requires_ = {}},
                   // At a context of a million tokens one workgroup reads 262,144 scores six times.
                   {.name = "wg1024",
                    .text = "topk_f32/topk_f32.kernel",
                    .workgroup = 1024,
                    .constants = {},
                    .shared = shared_arrays(),
                    .requires_ = {}},
                   // llvmpipe ends all loops of an invocation after 65535 iterations together: 262,144 scores read 6
                   // times by 8 invocations would exceed that, by 32 they take 49,152.
                   {.name = "wide",
                    .text = "topk_f32/topk_f32.kernel",
                    .workgroup = 32,
                    .constants = {},
                    .shared = shared_arrays(),
                    .requires_ = {},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "indices are exact"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
