#include "shaders/routing/gate_topk_f32/gate_topk_f32.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte>, const Variant& variant) {
  const uint32_t tokens = spec::constant_of(variant, "SERIAL") != 0 ? variant.workgroup : 1;
  return {.x = GridDim::tokens(1, tokens)};
}

double score(float logit) {
  const double x = logit;
  return std::sqrt(std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))));
}

bool is_better(double a, double b) { return std::isnan(a) ? !std::isnan(b) : a > b; }

// Experts from the best to the worst, equal ones by index; NaN is better than all.
std::vector<uint32_t> ranking(const float* logits, const std::vector<float>& bias) {
  std::vector<uint32_t> order(bias.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return is_better(score(logits[a]) + bias[a], score(logits[b]) + bias[b]);
  });
  return order;
}

// Whether two experts that differ come so close that f32 may order them the other way.
bool has_near_tie(const float* logits, const std::vector<float>& bias) {
  const std::vector<uint32_t> order = ranking(logits, bias);
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    const uint32_t a = order[i];
    const uint32_t b = order[i + 1];
    const bool same = logits[a] == logits[b] && bias[a] == bias[b];
    if (!same && score(logits[a]) + bias[a] - score(logits[b]) - bias[b] < 3e-5) return true;
  }
  return false;
}

struct Shape {
  std::string name;
  GateParams params;
  uint32_t n_tokens = 0;
  double sigma = 1;           // of the logits
  double bias = 0;            // mean of the biases
  bool equal_scores = false;  // logits and biases take a few values only, so that many experts tie exactly
};

constexpr uint32_t kVocab = 23;

CaseData make_case(const Shape& shape, Rng& rng) {
  const GateParams& p = shape.params;
  std::vector<uint32_t> extra(p.tokens_at - kStepHeaderWords);
  for (uint32_t t = 0; t < shape.n_tokens; ++t) extra.push_back(rng.below(kVocab));
  std::vector<float> bias = spec::normal_floats(rng, p.experts, 0.3);
  for (float& value : bias) value += static_cast<float>(shape.bias);
  if (shape.equal_scores) std::fill(bias.begin(), bias.end(), 0.25f);
  std::vector<float> logits;
  for (uint32_t t = 0; t < shape.n_tokens; ++t) {
    std::vector<float> row;
    do {
      row = spec::normal_floats(rng, p.experts, shape.sigma);
      if (shape.equal_scores) {
        for (float& logit : row) logit = static_cast<float>(rng.below(4)) - 2.0f;
      }
    } while (p.hash == 0 && has_near_tie(row.data(), bias));
    logits.insert(logits.end(), row.begin(), row.end());
  }
  std::vector<uint32_t> table(size_t{kVocab} * p.k);
  for (uint32_t& id : table) id = rng.below(p.experts);
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = shape.n_tokens}, extra)};
  data.bindings.push_back({.content = spec::to_bytes(logits)});
  data.bindings.push_back({.content = spec::to_bytes(bias)});
  data.bindings.push_back({.content = spec::to_bytes(table)});
  data.bindings.push_back(spec::blank(size_t{shape.n_tokens} * p.k));
  data.bindings.push_back(spec::blank(size_t{shape.n_tokens} * p.k));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const std::vector<Shape> shapes = {
      {.name = "one_token", .params = {.experts = 67, .k = 6, .tokens_at = 8, .scale = 1.5f}, .n_tokens = 1},
      {.name = "chunk", .params = {.experts = 17, .k = 4, .tokens_at = 8, .scale = 2.5f}, .n_tokens = 19, .sigma = 3},
      {.name = "all_experts", .params = {.experts = 5, .k = 5, .tokens_at = 8, .scale = 1}, .n_tokens = 3},
      {.name = "ties",
       .params = {.experts = 71, .k = 6, .tokens_at = 8, .scale = 1.5f},
       .n_tokens = 9,
       .equal_scores = true},
      {.name = "far_logits_low_biases",
       .params = {.experts = 13, .k = 3, .tokens_at = 8, .scale = 1},
       .n_tokens = 7,
       .sigma = 12,
       .bias = -9},
      {.name = "hash", .params = {.experts = 37, .k = 6, .hash = 1, .tokens_at = 10, .scale = 1.5f}, .n_tokens = 17},
  };
  std::vector<KernelCase> result;
  for (const Shape& shape : shapes) {
    result.push_back({shape.name, [shape](Rng& rng) { return make_case(shape, rng); }});
  }
  return result;
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<GateParams>(data.params);
  const auto logits = spec::from_bytes<float>(data.bindings[0].content);
  auto bias = spec::from_bytes<float>(data.bindings[1].content);
  bias.resize(p.experts);  // without the padding of a tensor on a device
  const auto table = spec::from_bytes<uint32_t>(data.bindings[2].content);
  Expected ids{.binding = 3};
  Expected weights{.binding = 4};
  for (uint32_t t = 0; t < data.step[kStepTokens]; ++t) {
    const float* row = logits.data() + size_t{t} * p.experts;
    std::vector<uint32_t> chosen = ranking(row, bias);
    if (p.hash != 0) {
      const auto entry = table.begin() + static_cast<ptrdiff_t>(size_t{data.step[p.tokens_at + t]} * p.k);
      chosen.assign(entry, entry + p.k);
    }
    chosen.resize(p.k);
    // A bias takes no part in the weights unless it is NaN.
    const auto weight = [&](uint32_t e) { return p.hash == 0 && std::isnan(bias[e]) ? bias[e] : score(row[e]); };
    double sum = 0;
    for (const uint32_t e : chosen) sum += weight(e);
    for (const uint32_t e : chosen) {
      ids.words.push_back(e);
      weights.values.push_back(weight(e) / sum * p.scale);
    }
  }
  return {ids, weights};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<GateParams>(params);
  return {.bytes = uint64_t{step.n_tokens} * (p.experts + 2 * p.k) * 4,
          .flops = uint64_t{step.n_tokens} * p.experts * 30};
}

}  // namespace

const KernelSpec& kernels::gate_topk_f32() {
  static const KernelSpec spec{
      .name = "gate_topk_f32",
      .formula =
          "s = sqrt(softplus(logits)); ids = hash ? table[token,:] : k largest of s + bias; "
          "weights = s[ids]/Σ s[ids]·scale",
      .bindings = {{"logits", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[T, experts]"},
                   {"bias", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[experts]"},
                   {"table", ElementType::kU32, Access::kRead, BindingKind::kBuffer, "[vocab, k]"},
                   {"ids", ElementType::kU32, Access::kWrite, BindingKind::kBuffer, "[T, k]"},
                   {"weights", ElementType::kF32, Access::kWrite, BindingKind::kBuffer, "[T, k]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"experts"}, {"k"}, {"hash"}, {"tokens_at"}, {"scale", true}},
      .variants = {{.name = "portable",
                    .text = "routing/gate_topk_f32/gate_topk_f32.kernel",
                    .workgroup = 64,
                    .constants = {{"SERIAL", 0}},
                    .shared = {{.name = "keys", .type = ElementType::kU32, .count = "WG"},
                               {.name = "indices", .type = ElementType::kU32, .count = "WG"}}},
                   {.name = "wide",
                    .text = "routing/gate_topk_f32/gate_topk_f32.kernel",
                    .workgroup = 8,
                    .constants = {{"SERIAL", 1}},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 64, .why = "exp may be off by 3 + 2|x| ulp, |x| < 50; its error is halved by the root"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
