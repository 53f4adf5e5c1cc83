#include "shaders/attention/attention_f32/attention_f32.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/attention/attention_f32/attention_cases.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

using Params = AttentionParams;
using Sized = spec::ParamsAndStep<Params>;

// Standard deviation of rounding to bf16, relative: 2^-9 / sqrt(3). A coarse kernel may be so many of them off, with
// the errors of all entries on the same side.
constexpr double kBf16Deviation = 0x1p-9 / 1.73;
constexpr double kDeviations = 5;

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  const uint32_t heads = spec::constant_of(variant, "HEADS");
  return {.x = GridDim::tokens(), .y = GridDim::constant(spec::ceil_div(p.heads, heads)), .z = {}};
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  CaseData data = spec::random_attention(rng, p, step);
  data.params = pack_params(p);
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, p.heads, 2))});
  data.bindings.push_back(spec::blank(size_t{step.n_tokens} * p.heads * p.dim));
  data.bindings.emplace_back();
  return data;
}

// 147 entries of 448 codes hold all pairs of a code and a scale.
CaseData every_code(Rng& rng) {
  Params p = {.heads = 3, .dim = 512, .rope = 64, .window = 1, .format = kEntryFp8};
  const StepHeader step = {.n_tokens = 147};
  CaseData data = make_case(rng, p, step);
  p = unpack_params<Params>(data.params);
  spec::put_every_code(data, p);
  data.bindings[5].content = spec::to_bytes(std::vector<float>(p.heads, -1e30f));
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"heads", [](Sized& s) -> uint32_t& { return s.params.heads; }},
                             {"window", [](Sized& s) -> uint32_t& { return s.params.window; }},
                             {"k", [](Sized& s) -> uint32_t& { return s.params.k; }}});
  };
  const Params small = {.heads = 4, .dim = 128, .rope = 64, .window = 16, .format = kEntryFp8F32};
  const auto with = [](Params p, uint32_t mode, uint32_t ratio, uint32_t k) {
    p.mode = mode;
    p.ratio = ratio;
    p.k = k;
    return p;
  };
  const Params wide = {.heads = 5, .dim = 512, .rope = 64, .window = 19, .format = kEntryFp8};
  const Params odd = {.heads = 3, .dim = 96, .rope = 32, .window = 7, .format = kEntryFp8};
  const Params plain = {.heads = 6, .dim = 192, .rope = 64, .window = 5, .format = kEntryF32};
  const Params coarse = {.heads = 64, .dim = 512, .rope = 64, .window = 128, .format = kEntryFp8, .coarse = 1};
  Params coarse_odd = coarse;
  coarse_odd.heads = 70;
  coarse_odd.dim = 192;
  const Params longest = {.heads = 2, .dim = 512, .rope = 64, .window = 128, .format = kEntryFp8};
  const Params above_a_tile = {.heads = 3, .dim = 132, .rope = 64, .window = 21, .format = kEntryFp8};
  Params no_window = small;
  no_window.window = 0;
  return {
      add("first_token", small, {.n_tokens = 1}),
      add("chunk_longer_than_window", small, {.n_tokens = 37, .position = 0}),
      add("ring_wraps_inside_chunk", small, {.n_tokens = 5, .position = 61}),
      add("decode_all_visible", with(small, kAttendVisible, 8, 0), {.n_tokens = 1, .position = 201}),
      add("decode_by_ids", with(wide, kAttendIds, 4, 11), {.n_tokens = 1, .position = 300}),
      add("chunk_by_ids_few_entries", with(wide, kAttendIds, 4, 6), {.n_tokens = 9, .position = 2}),
      add("short_block_all_visible", with(odd, kAttendVisible, 3, 0), {.n_tokens = 4, .position = 50}),
      add("f32_by_ids", with(plain, kAttendIds, 4, 8), {.n_tokens = 3, .position = 77}),
      add("none_visible_yet", with(plain, kAttendVisible, 128, 0), {.n_tokens = 3, .position = 20}),
      add("one_quad_above_a_tile", with(above_a_tile, kAttendVisible, 3, 0), {.n_tokens = 2, .position = 60}),
      add("coarse_released_shape", with(coarse, kAttendIds, 4, 60), {.n_tokens = 1, .position = 300}),
      add("coarse_chunk", with(coarse, kAttendVisible, 16, 0), {.n_tokens = 5, .position = 500}),
      add("coarse_chunk_by_ids", with(coarse_odd, kAttendIds, 4, 30), {.n_tokens = 7, .position = 300}),
      // A million tokens: 8,192 entries beside the window.
      add("longest_context", with(longest, kAttendVisible, 128, 0), {.n_tokens = 1, .position = 1048575}),
      {"every_code", every_code},
      add("no_window", with(no_window, kAttendIds, 4, 20), {.n_tokens = 6, .position = 0}),
  };
}

void expect_head(Expected& out, std::span<const float> q, const std::vector<std::vector<double>>& entries, double sink,
                 std::span<const uint32_t> table, const Params& p) {
  std::vector<double> scores;
  std::vector<double> deviations;  // of a weight, relative: what rounding to bf16 may do to it
  double denominator = std::exp(sink);
  const double root = std::sqrt(static_cast<double>(p.dim));
  for (const std::vector<double>& entry : entries) {
    double s = 0;
    double squares = 0;
    for (uint32_t i = 0; i < p.dim; ++i) {
      s += q[i] * entry[i];
      squares += q[i] * entry[i] * q[i] * entry[i];
    }
    scores.push_back(std::exp(s / root));
    deviations.push_back(kBf16Deviation * (1 + std::sqrt(squares) / root));
    denominator += scores.back();
  }
  std::vector<double> o(p.dim);
  std::vector<double> magnitude(p.dim);
  std::vector<double> slack(p.dim);
  for (size_t e = 0; e < entries.size(); ++e) {
    for (uint32_t i = 0; i < p.dim; ++i) {
      o[i] += scores[e] / denominator * entries[e][i];
      magnitude[i] += scores[e] / denominator * std::fabs(entries[e][i]);
    }
  }
  for (size_t e = 0; p.coarse != 0 && e < entries.size(); ++e) {
    for (uint32_t i = 0; i < p.dim; ++i) {
      slack[i] += kDeviations * scores[e] / denominator * deviations[e] * (std::fabs(entries[e][i]) + std::fabs(o[i]));
    }
  }
  for (uint32_t i = 0; i < p.rope; i += 2) {
    const double cosine = std::bit_cast<float>(table[i]);
    const double sine = std::bit_cast<float>(table[i + 1]);
    const uint32_t c = p.dim - p.rope + i;
    const double even = o[c];
    o[c] = even * cosine + o[c + 1] * sine;
    o[c + 1] = o[c + 1] * cosine - even * sine;
    magnitude[c] = magnitude[c + 1] = magnitude[c] + magnitude[c + 1];
    slack[c] = slack[c + 1] = slack[c] + slack[c + 1];
  }
  out.values.insert(out.values.end(), o.begin(), o.end());
  out.scales.insert(out.scales.end(), magnitude.begin(), magnitude.end());
  out.slack.insert(out.slack.end(), slack.begin(), slack.end());
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto q = spec::from_bytes<float>(data.bindings[0].content);
  const auto sinks = spec::from_bytes<float>(data.bindings[5].content);
  Expected out{.binding = 6};
  for (uint32_t t = 0; t < step.n_tokens; ++t) {
    const std::vector<std::vector<double>> entries = spec::attended_entries(data, p, t);
    for (uint32_t h = 0; h < p.heads; ++h) {
      const size_t row = size_t{t} * p.heads + h;
      expect_head(out, std::span(q).subspan(row * p.dim, p.dim), entries, double{sinks[h]},
                  std::span(data.step).subspan(p.rope_at + size_t{t} * p.rope, p.rope), p);
    }
  }
  return {out};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  Cost total;
  for (uint64_t t = 0; t < step.n_tokens; ++t) {
    const uint64_t entries = spec::attended_count(p, step.position + t);
    total.bytes += 4 * (entries * p.entry_words + 2 * uint64_t{p.heads} * p.dim);
    total.flops += 4 * entries * p.heads * p.dim;
  }
  return total;
}

}  // namespace

std::vector<ParamSpec> attention_param_specs() {
  return {{"heads"},       {"dim"},  {"rope"},  {"rope_at"}, {"window"}, {"format"},
          {"entry_words"}, {"mode"}, {"ratio"}, {"k"},       {"coarse"}};
}

std::vector<SharedArray> attention_tiles_memory() {
  return {{"kv", ElementType::kF32x4, "8 * 128"},
          {"partial", ElementType::kF32x4, "32 * 17"},
          {"scores", ElementType::kF32x4, "8 * 2"},
          {"weights", ElementType::kF32x4, "8 * 2"},
          {"keep", ElementType::kF32x4, "2"}};
}

const KernelSpec& kernels::attention_f32() {
  static const KernelSpec spec = {
      .name = "attention_f32",
      .formula =
          "o[t,h] = rope^-1(sum_e p_e·entry_e), p = softmax over window and compressed entries and a sink; "
          "q, o [tokens, heads, dim]",
      .bindings =
          {{.name = "q", .type = ElementType::kF32x4, .shape = "[tokens, heads, dim]"},
           {.name = "kv_new", .type = ElementType::kU32, .shape = "[tokens, entry_words]"},
           {.name = "ring", .type = ElementType::kU32, .shape = "[window, entry_words]"},
           {.name = "entries",
            .type = ElementType::kU32,
            .kind = BindingKind::kSlabs,
            .shape = "[entries, entry_words]"},
           {.name = "ids", .type = ElementType::kU32, .shape = "[tokens, k + 1]"},
           {.name = "sinks", .shape = "[heads]"},
           {.name = "o", .type = ElementType::kF32x4, .access = Access::kWrite, .shape = "[tokens, heads, dim]"},
           {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = attention_param_specs(),
      .variants = {{.name = "portable",
                    .text = "attention/attention_f32/attention_f32.kernel",
                    .workgroup = 128,
                    .constants = {{"HEADS", 4}},
                    .shared = {{"kv", ElementType::kF32x4, "512"},
                               {"partial", ElementType::kF32, "WG"},
                               {"scores", ElementType::kF32, "64"},
                               {"weights", ElementType::kF32, "64"},
                               {"keep", ElementType::kF32, "4"}},
                    .requires_ = {}},
                   {.name = "heads8",
                    .text = "attention/attention_f32/attention_tiles.kernel",
                    .workgroup = 256,
                    .constants = {{"HEADS", 8}, {"PARTED", 0}},
                    .shared = attention_tiles_memory(),
                    .requires_ = {},
                    .min_rows = kAttentionPartsTokens + 1},
                   {.name = "texels",
                    .text = "attention/attention_f32/attention_texels.kernel",
                    .workgroup = 8,
                    .constants = {{"HEADS", 8}, {"KEYS", 4}, {"TILE", 704}, {"TOGETHER", 8}},
                    .shared = {{"scores", ElementType::kF32, "(TILE + 4) * HEADS"},
                               {"keep", ElementType::kF32, "HEADS"},
                               {"total_of", ElementType::kF32, "HEADS"}},
                    .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                    .for_wide_cpu = true,
                    .texels = {"q", "kv_new", "ring", "entries", "ids"}},
                   {.name = "vector",
                    .text = "attention/attention_f32/attention_vector.kernel",
                    .workgroup = 1,
                    .constants = {{"HEADS", 8}},
                    .shared = {{"kv", ElementType::kF32, "16 * 512 + 16"},
                               {"queries", ElementType::kF32, "HEADS * 512"},
                               {"sums", ElementType::kF32, "HEADS * 512"}},
                    .requires_ = {},
                    .for_wide_cpu = true,
                    .dialect = Dialect::kOpenCl}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64,
                    .why =
                        "a score of size 5 from 512 f32 products has an absolute error of a few 2^-23, exp adds 3 ulp "
                        "+ 2 per unit of its argument (up to 20); both count relative to the sum of magnitudes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
