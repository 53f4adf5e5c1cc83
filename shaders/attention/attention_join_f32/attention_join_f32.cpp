#include "shaders/attention/attention_join_f32/attention_join_f32.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

using Params = AttentionJoinParams;

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::tokens(),
          .y = GridDim::constant(p.heads),
          .z = GridDim::constant(spec::ceil_div(p.dim / 4, variant.workgroup))};
}

// `used` parts of each token and head have entries; what the others hold must not matter. Scores of parts are up to
// `highest`: beyond 88 only differences from the largest have an exponential.
CaseData make_case(Rng& rng, Params p, uint32_t tokens, uint32_t used, double highest) {
  p.rope_at = kStepHeaderWords + 1;
  std::vector<uint32_t> extra(1, 0xffffffffu);
  for (uint32_t i = 0; i < tokens * p.rope / 2; ++i) {
    const double angle = rng.uniform(-3.2, 3.2);
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  std::vector<float> parts;
  std::vector<float> stats;
  for (uint32_t row = 0; row < tokens * p.heads; ++row) {
    for (uint32_t i = 0; i < p.parts; ++i) {
      const bool has_entries = i < used;
      std::vector<float> sums = spec::normal_floats(rng, p.dim, 3);
      // Beside a zero of the largest part, what far smaller ones add is no normal number: f32 holds it too coarsely.
      if (highest > 80) std::ranges::replace(sums, 0.0f, 1.0f);
      parts.insert(parts.end(), sums.begin(), sums.end());
      if (!has_entries) std::fill_n(parts.end() - p.dim, p.dim, std::bit_cast<float>(0x7fc00000u));
      stats.push_back(has_entries ? static_cast<float>(rng.uniform(-9, highest)) : -3e38f);
      stats.push_back(has_entries ? static_cast<float>(rng.uniform(1, 16)) : 0.0f);
    }
  }
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = tokens, .position = 77}, extra)};
  data.bindings.push_back({.content = spec::to_bytes(parts)});
  data.bindings.push_back({.content = spec::to_bytes(stats)});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, p.heads, 2))});
  data.bindings.push_back(spec::blank(size_t{tokens} * p.heads * p.dim));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, uint32_t tokens, uint32_t used, double highest = 9) {
    return KernelCase{std::move(name), [=](Rng& rng) { return make_case(rng, p, tokens, used, highest); }};
  };
  return {
      add("one_part", {.heads = 3, .dim = 128, .rope = 64, .parts = 1}, 2, 1),
      add("some_empty", {.heads = 5, .dim = 512, .rope = 64, .parts = 13}, 3, 7),
      add("all_used", {.heads = 64, .dim = 512, .rope = 64, .parts = 64}, 1, 64),
      add("below_a_workgroup_far_apart", {.heads = 2, .dim = 96, .rope = 32, .parts = 4}, 5, 4, 150),
      add("sink_alone", {.heads = 2, .dim = 192, .rope = 64, .parts = 3}, 1, 0),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const auto parts = spec::from_bytes<float>(data.bindings[0].content);
  const auto stats = spec::from_bytes<float>(data.bindings[1].content);
  const auto sinks = spec::from_bytes<float>(data.bindings[2].content);
  Expected out{.binding = 3};
  for (size_t row = 0; row < size_t{data.step[kStepTokens]} * p.heads; ++row) {
    double denominator = std::exp(double{sinks[row % p.heads]});
    std::vector<double> o(p.dim);
    std::vector<double> magnitude(p.dim);
    for (size_t i = row * p.parts; i < (row + 1) * p.parts; ++i) {
      if (stats[2 * i + 1] == 0) continue;
      const double weight = std::exp(double{stats[2 * i]});
      denominator += weight * stats[2 * i + 1];
      for (size_t c = 0; c < p.dim; ++c) {
        o[c] += weight * parts[i * p.dim + c];
        magnitude[c] += weight * std::fabs(parts[i * p.dim + c]);
      }
    }
    for (size_t c = 0; c < p.dim; ++c) {
      o[c] /= denominator;
      magnitude[c] /= denominator;
    }
    for (uint32_t i = 0; i < p.rope; i += 2) {
      const size_t table = p.rope_at + row / p.heads * p.rope + i;
      const double cosine = std::bit_cast<float>(data.step[table]);
      const double sine = std::bit_cast<float>(data.step[table + 1]);
      const size_t c = p.dim - p.rope + i;
      const double even = o[c];
      o[c] = even * cosine + o[c + 1] * sine;
      o[c + 1] = o[c + 1] * cosine - even * sine;
      magnitude[c] = magnitude[c + 1] = magnitude[c] + magnitude[c + 1];
    }
    out.values.insert(out.values.end(), o.begin(), o.end());
    out.scales.insert(out.scales.end(), magnitude.begin(), magnitude.end());
  }
  return {out};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t rows = uint64_t{step.n_tokens} * p.heads;
  return {.bytes = 4 * rows * (uint64_t{p.parts + 1} * p.dim + 2 * p.parts), .flops = 2 * rows * p.parts * p.dim};
}

}  // namespace

const KernelSpec& kernels::attention_join_f32() {
  static const KernelSpec spec = {
      .name = "attention_join_f32",
      .formula =
          "o[t,h] = rope^-1(sum_i w_i·parts[t,h,i] / (exp(sinks[h] - m) + sum_i w_i·total_i)), w_i = exp(largest_i - "
          "m), m the largest of largest_i and sinks[h]; (largest_i, total_i) = stats[t,h,i]",
      .bindings =
          {{.name = "parts", .type = ElementType::kF32x4, .shape = "[tokens, heads, parts, dim]"},
           {.name = "stats", .shape = "[tokens, heads, parts, 2]"},
           {.name = "sinks", .shape = "[heads]"},
           {.name = "o", .type = ElementType::kF32x4, .access = Access::kWrite, .shape = "[tokens, heads, dim]"},
           {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"heads"}, {"dim"}, {"rope"}, {"rope_at"}, {"parts"}},
      .variants = {{.name = "portable",
                    .text = "attention/attention_join_f32/attention_join_f32.kernel",
                    .workgroup = 64,
                    .requires_ = {}}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64,
                    .why = "exp adds 3 ulp + 2 per unit of its argument (up to 20); up to 64 additions one after the "
                           "other; against the sum of magnitudes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
