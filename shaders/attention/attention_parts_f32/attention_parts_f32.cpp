#include "shaders/attention/attention_parts_f32/attention_parts_f32.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/kernel_table.h"
#include "shaders/attention/attention_f32/attention_cases.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

using Params = AttentionPartsParams;

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  const uint32_t heads = spec::constant_of(variant, "HEADS");
  return {.x = GridDim::tokens(),
          .y = GridDim::constant(spec::ceil_div(p.attention.heads, heads)),
          .z = GridDim::constant(p.parts)};
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  CaseData data = spec::random_attention(rng, p.attention, step);
  data.params = pack_params(p);
  const size_t rows = size_t{step.n_tokens} * p.attention.heads * p.parts;
  data.bindings.push_back(spec::blank(rows * p.attention.dim));
  data.bindings.push_back(spec::blank(rows * 2));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, const AttentionParams& attention, uint32_t parts, StepHeader step) {
    const Params p = {.attention = attention, .parts = parts};
    return KernelCase{std::move(name), [p, step](Rng& rng) { return make_case(rng, p, step); }};
  };
  const auto with = [](AttentionParams p, uint32_t mode, uint32_t ratio, uint32_t k) {
    p.mode = mode;
    p.ratio = ratio;
    p.k = k;
    return p;
  };
  const AttentionParams small = {.heads = 4, .dim = 128, .rope = 64, .window = 16, .format = kEntryFp8F32};
  const AttentionParams wide = {.heads = 17, .dim = 512, .rope = 64, .window = 19, .format = kEntryFp8};
  const AttentionParams odd = {.heads = 3, .dim = 96, .rope = 32, .window = 7, .format = kEntryFp8};
  const AttentionParams plain = {.heads = 6, .dim = 192, .rope = 64, .window = 5, .format = kEntryF32};
  const AttentionParams released = {.heads = 64, .dim = 512, .rope = 64, .window = 128, .format = kEntryFp8};
  const AttentionParams longest = {.heads = 2, .dim = 512, .rope = 64, .window = 128, .format = kEntryFp8};
  return {
      add("first_token", small, 5, {.n_tokens = 1}),
      add("one_part", with(small, kAttendVisible, 8, 0), 1, {.n_tokens = 1, .position = 201}),
      add("several_tokens_ring_wraps", small, 2, {.n_tokens = 5, .position = 61}),
      add("parts_longer_than_least", with(small, kAttendVisible, 2, 0), 3, {.n_tokens = 3, .position = 201}),
      add("by_ids_two_workgroups_of_heads", with(wide, kAttendIds, 4, 43), 7, {.n_tokens = 2, .position = 300}),
      add("short_blocks", with(odd, kAttendVisible, 3, 0), 3, {.n_tokens = 4, .position = 50}),
      add("f32_by_ids", with(plain, kAttendIds, 4, 18), 3, {.n_tokens = 3, .position = 77}),
      add("none_visible_yet", with(plain, kAttendVisible, 128, 0), 2, {.n_tokens = 3, .position = 20}),
      add("released_shape", with(released, kAttendIds, 4, 60), 13, {.n_tokens = 1, .position = 300}),
      // A million tokens: 8,192 entries beside the window.
      add("longest_context", with(longest, kAttendVisible, 128, 0), 64, {.n_tokens = 1, .position = 1048575}),
  };
}

// Sums, largest score and total of entries [begin, end) for one head.
struct PartReference {
  Expected& sums;
  Expected& stats;
  uint32_t dim;

  void add(std::span<const float> q, const std::vector<std::vector<double>>& entries, size_t begin, size_t end) {
    const double root = std::sqrt(static_cast<double>(dim));
    std::vector<double> scores;
    double magnitude = 0;  // of the products behind a score
    for (size_t e = begin; e < end; ++e) {
      double score = 0;
      double products = 0;
      for (uint32_t i = 0; i < dim; ++i) {
        score += q[i] * entries[e][i] / root;
        products += std::fabs(q[i] * entries[e][i] / root);
      }
      scores.push_back(score);
      magnitude = std::max(magnitude, products);
    }
    // Entries whose score is -infinity weigh nothing, even where there are no others.
    double largest = -1e300;
    for (const double score : scores) largest = std::max(largest, score);
    double total = 0;
    std::vector<double> sum(dim);
    std::vector<double> scale(dim);
    for (size_t e = begin; e < end; ++e) {
      const double weight = std::exp(scores[e - begin] - largest);
      total += weight;
      for (uint32_t i = 0; i < dim; ++i) {
        sum[i] += weight * entries[e][i];
        scale[i] += weight * std::fabs(entries[e][i]);
      }
    }
    if (begin == end) sum.assign(dim, kUntouched);
    sums.values.insert(sums.values.end(), sum.begin(), sum.end());
    sums.scales.insert(sums.scales.end(), scale.begin(), scale.end());
    // What the largest score is matters only where the total is a number other than 0.
    stats.values.insert(stats.values.end(), {total > 0 ? largest : kAnything, total});
    stats.scales.insert(stats.scales.end(), {magnitude, total});
  }
};

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto q = spec::from_bytes<float>(data.bindings[0].content);
  Expected sums{.binding = 5};
  Expected stats{.binding = 6};
  PartReference part{.sums = sums, .stats = stats, .dim = p.attention.dim};
  for (uint32_t t = 0; t < step.n_tokens; ++t) {
    const std::vector<std::vector<double>> entries = spec::attended_entries(data, p.attention, t);
    // Equal parts, rounded up to 16 entries.
    size_t length = 16;
    while (length * p.parts < entries.size()) length += 16;
    for (uint32_t h = 0; h < p.attention.heads; ++h) {
      const size_t row = size_t{t} * p.attention.heads + h;
      for (size_t i = 0; i < p.parts; ++i) {
        part.add(std::span(q).subspan(row * p.attention.dim, p.attention.dim), entries,
                 std::min(i * length, entries.size()), std::min((i + 1) * length, entries.size()));
      }
    }
  }
  return {sums, stats};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  Cost total;
  for (uint64_t t = 0; t < step.n_tokens; ++t) {
    const uint64_t entries = spec::attended_count(p.attention, step.position + t);
    const uint64_t used = std::min<uint64_t>(p.parts, (entries + kAttentionPartEntries - 1) / kAttentionPartEntries);
    total.bytes += 4 * (entries * p.attention.entry_words + (1 + used) * uint64_t{p.attention.heads} * p.attention.dim);
    total.flops += 4 * entries * p.attention.heads * p.attention.dim;
  }
  return total;
}

std::vector<ParamSpec> param_specs() {
  std::vector<ParamSpec> specs = attention_param_specs();
  specs.push_back({"parts"});
  return specs;
}

}  // namespace

const KernelSpec& kernels::attention_parts_f32() {
  static const KernelSpec spec = {
      .name = "attention_parts_f32",
      .formula =
          "sums[t,h,i] = sum_e exp(s_e - m_i)·entry_e, stats[t,h,i] = (m_i, sum_e exp(s_e - m_i)), s = q[t,h]·entry "
          "/ sqrt(dim), m_i = max_e s_e, over part i of the entries of token t",
      .bindings = {{.name = "q", .type = ElementType::kF32x4, .shape = "[tokens, heads, dim]"},
                   {.name = "kv_new", .type = ElementType::kU32, .shape = "[tokens, entry_words]"},
                   {.name = "ring", .type = ElementType::kU32, .shape = "[window, entry_words]"},
                   {.name = "entries",
                    .type = ElementType::kU32,
                    .kind = BindingKind::kSlabs,
                    .shape = "[entries, entry_words]"},
                   {.name = "ids", .type = ElementType::kU32, .shape = "[tokens, k + 1]"},
                   {.name = "parts",
                    .type = ElementType::kF32x4,
                    .access = Access::kWrite,
                    .shape = "[tokens, heads, parts, dim]"},
                   {.name = "stats", .access = Access::kWrite, .shape = "[tokens, heads, parts, 2]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = param_specs(),
      .variants = {{.name = "heads8",
                    .text = "attention/attention_f32/attention_tiles.kernel",
                    .workgroup = 256,
                    .constants = {{"HEADS", 8}, {"PARTED", 1}, {"PART_ENTRIES", kAttentionPartEntries}},
                    .shared = attention_tiles_memory(),
                    .requires_ = {}}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64,
                    .why = "as in attention_f32: scores of size 5 from 512 f32 products, then exp, against the sums of "
                           "magnitudes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
