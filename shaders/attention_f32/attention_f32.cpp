#include "shaders/attention_f32/attention_f32.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "runtime/core/kernel_table.h"
#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

using Params = AttentionParams;

// Standard deviation of rounding to bf16, relative: 2^-9 / sqrt(3). A coarse kernel may be so many of them off, with
// the errors of all entries on the same side.
constexpr double kBf16Deviation = 0x1p-9 / 1.73;
constexpr double kDeviations = 5;

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  const uint32_t heads = spec::constant_of(variant, "HEADS");
  return {.x = GridDim::tokens(), .y = GridDim::constant(spec::ceil_div(p.heads, heads)), .z = {}};
}

// For each token up to k distinct visible entries, ascending.
std::vector<uint32_t> choose_ids(Rng& rng, const Params& p, const StepHeader& step) {
  std::vector<uint32_t> ids;
  for (uint32_t t = 0; t < step.n_tokens; ++t) {
    const uint32_t visible = (step.position + t + 1) / p.ratio;
    std::set<uint32_t> chosen;
    while (chosen.size() < std::min(p.k, visible)) chosen.insert(rng.below(visible));
    ids.push_back(static_cast<uint32_t>(chosen.size()));
    ids.insert(ids.end(), chosen.begin(), chosen.end());
    ids.resize(size_t{t + 1} * (p.k + 1), 0xffffffffu);
  }
  return ids;
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  p.entry_words = kv_entry_words(p.dim, p.rope, p.format);
  p.rope_at = kStepHeaderWords + 1;
  const spec::EntryShape shape = {.dim = p.dim, .rope = p.rope, .format = p.format};
  const size_t rows = size_t{step.n_tokens} * p.heads;
  const uint32_t visible = p.mode == kAttendWindow ? 0 : (step.position + step.n_tokens) / p.ratio;
  std::vector<uint32_t> extra(1, 0xffffffffu);
  for (uint32_t i = 0; i < step.n_tokens * p.rope / 2; ++i) {
    const double angle = rng.uniform(-3.2, 3.2);
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step, extra);
  const auto entries = [&](size_t count) {
    return spec::slabs(spec::random_entries(rng, std::max<size_t>(count, 1), shape), p.entry_words);
  };
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, rows * p.dim))});
  data.bindings.push_back({.content = entries(step.n_tokens).content});
  data.bindings.push_back({.content = entries(p.window).content});
  data.bindings.push_back(entries(visible));
  data.bindings.push_back(p.mode == kAttendIds ? CaseBinding{.content = spec::to_bytes(choose_ids(rng, p, step))}
                                               : spec::blank(1));
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, p.heads, 2))});
  data.bindings.push_back(spec::blank(rows * p.dim));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return KernelCase{std::move(name), [p, step](Rng& rng) { return make_case(rng, p, step); }};
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
      add("coarse_released_shape", with(coarse, kAttendIds, 4, 60), {.n_tokens = 1, .position = 300}),
      add("coarse_chunk", with(coarse, kAttendVisible, 16, 0), {.n_tokens = 5, .position = 500}),
      add("coarse_chunk_by_ids", with(coarse_odd, kAttendIds, 4, 30), {.n_tokens = 7, .position = 300}),
      // A million tokens: 8,192 entries beside the window.
      add("longest_context", with(longest, kAttendVisible, 128, 0), {.n_tokens = 1, .position = 1048575}),
      add("no_window", with(no_window, kAttendIds, 4, 20), {.n_tokens = 6, .position = 0}),
  };
}

// The words of every entry that token t attends to.
std::vector<std::span<const uint32_t>> attended(const std::vector<std::vector<uint32_t>>& in, const Params& p,
                                                const StepHeader& step, uint32_t t) {
  const auto entry = [&](size_t binding, size_t row) {
    return std::span(in[binding]).subspan(row * p.entry_words, p.entry_words);
  };
  std::vector<std::span<const uint32_t>> list;
  const uint32_t query = step.position + t;
  for (uint32_t position = 0; position <= query; ++position) {
    if (position + p.window <= query) continue;
    list.push_back(position >= step.position ? entry(1, position - step.position) : entry(2, position % p.window));
  }
  for (uint32_t j = 0; p.mode == kAttendVisible && (j + 1) * p.ratio <= query + 1; ++j) list.push_back(entry(3, j));
  const uint32_t* ids = in[4].data() + size_t{t} * (p.k + 1);
  for (uint32_t i = 0; p.mode == kAttendIds && i < ids[0]; ++i) list.push_back(entry(3, ids[1 + i]));
  return list;
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
  std::vector<std::vector<uint32_t>> in;
  for (const CaseBinding& binding : data.bindings) in.push_back(spec::from_bytes<uint32_t>(binding.content));
  Expected out{.binding = 6};
  for (uint32_t t = 0; t < step.n_tokens; ++t) {
    std::vector<std::vector<double>> entries;
    for (const auto& words : attended(in, p, step, t)) {
      entries.push_back(spec::entry_values(words, {.dim = p.dim, .rope = p.rope, .format = p.format}));
    }
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
    const uint64_t seen = step.position + t + 1;
    uint64_t entries = std::min<uint64_t>(seen, p.window);
    if (p.mode != kAttendWindow)
      entries += p.mode == kAttendIds ? std::min<uint64_t>(p.k, seen / p.ratio) : seen / p.ratio;
    total.bytes += 4 * (entries * p.entry_words + 2 * uint64_t{p.heads} * p.dim);
    total.flops += 4 * entries * p.heads * p.dim;
  }
  return total;
}

}  // namespace

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
      .params = {{"heads"},
                 {"dim"},
                 {"rope"},
                 {"rope_at"},
                 {"window"},
                 {"format"},
                 {"entry_words"},
                 {"mode"},
                 {"ratio"},
                 {"k"},
                 {"coarse"}},
      .variants = {{.name = "portable",
                    .text = "attention_f32/attention_f32.kernel",
                    .workgroup = 128,
                    .constants = {{"HEADS", 4}},
                    .shared = {{"kv", ElementType::kF32x4, "512"},
                               {"partial", ElementType::kF32, "WG"},
                               {"scores", ElementType::kF32, "64"},
                               {"weights", ElementType::kF32, "64"},
                               {"keep", ElementType::kF32, "4"}},
                    .requires_ = {}},
                   {.name = "vector",
                    .text = "attention_f32/attention_vector.kernel",
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
