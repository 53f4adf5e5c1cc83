#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

using Params = IndexerScoresParams;
using Sized = spec::ParamsAndStep<Params>;

uint32_t visible_entries(const Params& p, const StepHeader& step, uint32_t t) {
  return (step.position + t + 1) / p.ratio;
}

// Tokens [first, end) of the chunk that get scores.
uint32_t end_token(const Params& p, const StepHeader& step) {
  return static_cast<uint32_t>(std::min<uint64_t>(step.n_tokens, uint64_t{p.first_token} + p.max_tokens));
}

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::visible(p.ratio, spec::constant_of(variant, "ENTRIES")),
          .y = GridDim::tokens_from(p.first_token, p.max_tokens),
          .z = {}};
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  p.key_words = indexer_key_words(p.dim, p.format);
  const size_t rows = size_t{step.n_tokens} * p.heads;
  const size_t entries = std::max(visible_entries(p, step, step.n_tokens - 1), 1u);
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(spec::random_keys(rng, rows, p.dim, p.format))});
  data.bindings.push_back(spec::slabs(spec::random_keys(rng, entries, p.dim, p.format), p.key_words));
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, rows))});
  data.bindings.push_back(
      {.content = spec::to_bytes(spec::normal_floats(rng, size_t{end_token(p, step) - p.first_token} * p.stride))});
  data.bindings.emplace_back();
  return data;
}

// The e2m1 code of one dim of a row and the scale of its block; the other dims are 0. A value that f32 does not hold
// becomes 0 too.
void put_value(std::span<uint32_t> row, uint32_t dim, uint32_t at, uint32_t code, uint8_t scale) {
  std::fill(row.begin(), row.end(), 0u);
  for (uint32_t b = 0; b < dim / kKeyBlock; ++b)
    row[dim / 8 + b / 4] |= (b == at / kKeyBlock ? scale : 127u) << (8 * (b % 4));
  if (spec::is_f32(spec::e2m1(code) * spec::e8m0(scale))) row[at / 8] = code << (4 * (at % 8));
}

// Every code with every scale, in the keys or in the queries, against a 1. There are two heads, of which the second is
// the first's negative, as is its weight: the score is what the two differ by, the value.
CaseData every_code(Rng& rng, bool in_keys) {
  constexpr uint32_t kValues = 16 * 256;
  constexpr uint32_t kDim = 128;
  const Params p = {.heads = 2,
                    .dim = kDim,
                    .format = kKeyFp4,
                    .ratio = in_keys ? 4u : 2 * kValues,
                    .stride = in_keys ? kValues : 1,
                    .g_scale = 1,
                    .max_tokens = kValues};
  const StepHeader step = {.n_tokens = in_keys ? 1 : kValues, .position = in_keys ? 4 * kValues - 1 : 2 * kValues};
  CaseData data = make_case(rng, p, step);
  const size_t words = indexer_key_words(kDim, kKeyFp4);
  const uint32_t at = rng.below(kDim);
  for (const size_t binding : {0, 1}) {
    auto rows = spec::from_bytes<uint32_t>(data.bindings[binding].content);
    const bool varies = (binding == 1) == in_keys;
    for (uint32_t r = 0; r < rows.size() / words; ++r) {
      const uint32_t value = binding == 0 ? r / 2 : r;
      const uint32_t code = (varies ? value % 16 : 2) ^ (binding == 0 && r % 2 == 1 ? 8u : 0u);
      put_value(std::span(rows).subspan(r * words, words), kDim, at, code,
                static_cast<uint8_t>(varies ? value / 16 : 127));
    }
    data.bindings[binding].content = spec::to_bytes(rows);
  }
  auto weights = spec::from_bytes<float>(data.bindings[2].content);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = i % 2 == 0 ? 1.0f : -1.0f;
  data.bindings[2].content = spec::to_bytes(weights);
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"heads", [](Sized& s) -> uint32_t& { return s.params.heads; }}});
  };
  const auto tile_from = [](uint32_t first_token) {
    return Params{.heads = 5,
                  .dim = 64,
                  .format = kKeyFp4,
                  .ratio = 4,
                  .stride = 31,
                  .g_scale = 0.5f,
                  .first_token = first_token,
                  .max_tokens = 4};
  };
  return {
      add("released_shape", {.heads = 64, .dim = 128, .format = kKeyFp4, .ratio = 4, .stride = 90, .g_scale = 0.011f},
          {.n_tokens = 1, .position = 350}),
      add("chunk_from_the_start", {.heads = 8, .dim = 64, .format = kKeyFp4, .ratio = 4, .stride = 40, .g_scale = 0.5f},
          {.n_tokens = 23}),
      add("odd_heads_narrow", {.heads = 3, .dim = 32, .format = kKeyFp4, .ratio = 4, .stride = 77, .g_scale = -1},
          {.n_tokens = 5, .position = 299}),
      add("f32_keys", {.heads = 11, .dim = 128, .format = kKeyF32, .ratio = 4, .stride = 50, .g_scale = 0.25f},
          {.n_tokens = 4, .position = 130}),
      add("wide_keys", {.heads = 2, .dim = 256, .format = kKeyFp4, .ratio = 4, .stride = 21, .g_scale = 1},
          {.n_tokens = 2, .position = 70}),
      // A million tokens.
      add("longest_context",
          {.heads = 2, .dim = 128, .format = kKeyFp4, .ratio = 4, .stride = 262144, .g_scale = 0.25f},
          {.n_tokens = 1, .position = 1048575}),
      add("second_tile_of_tokens", tile_from(3), {.n_tokens = 9, .position = 100}),
      add("last_tile_of_tokens", tile_from(8), {.n_tokens = 9, .position = 100}),
      add("chunk_of_released_width",
          {.heads = 35, .dim = 128, .format = kKeyFp4, .ratio = 4, .stride = 330, .g_scale = 0.1f},
          {.n_tokens = 37, .position = 1280}),
      // More heads than a GPU's workgroup decodes at a time.
      add("many_heads", {.heads = 131, .dim = 96, .format = kKeyFp4, .ratio = 4, .stride = 303, .g_scale = 0.1f},
          {.n_tokens = 2, .position = 1207}),
      {"every_code_in_keys", [](Rng& rng) { return every_code(rng, true); }},
      {"every_code_in_queries", [](Rng& rng) { return every_code(rng, false); }},
      add("nothing_visible", {.heads = 4, .dim = 64, .format = kKeyFp4, .ratio = 4, .stride = 3, .g_scale = 1},
          {.n_tokens = 2}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto q = spec::from_bytes<uint32_t>(data.bindings[0].content);
  const auto keys = spec::from_bytes<uint32_t>(data.bindings[1].content);
  const auto g = spec::from_bytes<float>(data.bindings[2].content);
  const auto row_of = [&](const std::vector<uint32_t>& words, size_t row) {
    return spec::key_values(std::span(words).subspan(row * p.key_words, p.key_words), p.dim, p.format);
  };
  Expected scores{.binding = 3};
  scores.values.assign(size_t{end_token(p, step) - p.first_token} * p.stride, kUntouched);
  scores.scales.assign(scores.values.size(), 1);
  for (uint32_t t = p.first_token; t < end_token(p, step); ++t) {
    for (uint32_t j = 0; j < visible_entries(p, step, t); ++j) {
      const std::vector<double> key = row_of(keys, j);
      double score = 0;
      double magnitude = 0;
      for (size_t h = 0; h < p.heads; ++h) {
        const std::vector<double> query = row_of(q, t * p.heads + h);
        double dot = 0;
        double size = 0;
        for (uint32_t i = 0; i < p.dim; ++i) {
          dot += query[i] * key[i];
          size += std::fabs(query[i] * key[i]);
        }
        const double weight = double{g[t * p.heads + h]} * double{p.g_scale};
        score += weight * std::max(dot, 0.0);
        magnitude += std::fabs(weight) * size;
      }
      const size_t at = size_t{t - p.first_token} * p.stride + j;
      scores.values[at] = score;
      scores.scales[at] = magnitude;
    }
  }
  return {scores};
}

bool is_packed(std::span<const std::byte> params) {
  const auto p = unpack_params<Params>(params);
  return p.format == kKeyFp4 && p.dim <= 128;
}

// For GPUs with integer dot products. The queries are decoded once for `entries` keys, in batches of 64: with one token
// there are few workgroups, in a chunk more than enough.
Variant int8_variant(std::string_view name, uint32_t entries, uint32_t min_rows) {
  return {.name = name,
          .text = "indexer/indexer_scores_f32/indexer_int8.kernel",
          .workgroup = 128,
          .constants = {{"ENTRIES", entries}},
          .shared = {{"rows", ElementType::kU32x4, "128 * 9"},
                     {"weights", ElementType::kF32, "64"},
                     {"partial", ElementType::kF32, "WG * 2"}},
          .requires_ = {Capability::kInt8Dot},
          .min_rows = min_rows,
          .serves = is_packed,
          .dialect = Dialect::kGlsl};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  Cost total;
  for (uint32_t t = p.first_token; t < end_token(p, step); ++t) {
    const uint64_t entries = visible_entries(p, step, t);
    total.bytes += entries * 4 * (p.key_words + 1);
    total.flops += entries * p.heads * 2 * p.dim;
  }
  return total;
}

}  // namespace

const KernelSpec& kernels::indexer_scores_f32() {
  static const KernelSpec spec = {
      .name = "indexer_scores_f32",
      .formula = "scores[t,j] = sum_h g[t,h]·g_scale·relu(q[t,h]·k[j]) for visible j; q [tokens·heads, key_words]",
      .bindings =
          {{.name = "q", .type = ElementType::kU32, .shape = "[tokens·heads, key_words]"},
           {.name = "keys", .type = ElementType::kU32, .kind = BindingKind::kSlabs, .shape = "[entries, key_words]"},
           {.name = "g", .shape = "[tokens, heads]"},
           {.name = "scores", .access = Access::kReadWrite, .shape = "[tokens, stride]"},
           {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"heads"},
                 {"dim"},
                 {"format"},
                 {"key_words"},
                 {"ratio"},
                 {"stride"},
                 {"g_scale", true},
                 {"first_token"},
                 {"max_tokens"}},
      .variants = {{.name = "portable",
                    .text = "indexer/indexer_scores_f32/indexer_scores_f32.kernel",
                    .workgroup = 64,
                    .constants = {{"ENTRIES", 64}},
                    .shared = {{"queries", ElementType::kF32, "1024"}},
                    .requires_ = {}},
                   {.name = "texels",
                    .text = "indexer/indexer_scores_f32/indexer_texels.kernel",
                    .workgroup = 8,
                    .constants = {{"ENTRIES", 32}, {"KEYS", 4}},
                    .shared = {},
                    .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                    .for_wide_cpu = true,
                    .texels = {"q", "keys", "g"}},
                   {.name = "vector",
                    .text = "indexer/indexer_scores_f32/indexer_vector.kernel",
                    .workgroup = 1,
                    .constants = {{"ENTRIES", 256}},
                    .shared = {{"queries", ElementType::kF32, "16384"}, {"panel", ElementType::kF32, "512 * 16"}},
                    .requires_ = {},
                    .for_wide_cpu = true,
                    .dialect = Dialect::kOpenCl},
                   int8_variant("int8", 64, 0),
                   int8_variant("int8_chunk", 256, 8)},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64,
                    .why = "products are exact with e2m1; up to 256 additions one after the other and 64 over heads, "
                           "against the sum of magnitudes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
