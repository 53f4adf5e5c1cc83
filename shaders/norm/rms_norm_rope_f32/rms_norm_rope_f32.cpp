#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

using Params = RmsNormRopeParams;
using Sized = spec::ParamsAndStep<Params>;

uint32_t table_rows(const Params& p, const StepHeader& step) {
  if (p.ratio != 0) return GridDim::entries(p.ratio).evaluate(step);
  return spec::row_count(step, p.count_at, 1);
}
uint32_t rows_per_table_row(const Params& p) { return p.ratio == 0 ? p.rows_per_token : 1; }

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = p.ratio != 0 ? GridDim::entries(p.ratio) : spec::rows_dim(p.count_at, 1, 1),
          .y = GridDim::constant(rows_per_table_row(p)),
          .z = {}};
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  p.rope_at = kStepHeaderWords + 3;
  const uint32_t turns = table_rows(p, step);
  std::vector<uint32_t> extra(3, 0xffffffffu);
  for (uint32_t i = 0; i < turns * p.rope / 2; ++i) {
    const double angle = rng.uniform(-3.2, 3.2);
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  const size_t elements = size_t{std::max(turns, 1u)} * rows_per_table_row(p) * p.cols;
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step, extra);
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, elements, 3))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, p.cols))});
  data.bindings.push_back(spec::blank(elements));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"rows_per_token", [](Sized& s) -> uint32_t& { return s.params.rows_per_token; }}});
  };
  const StepHeader three = {.n_tokens = 3, .position = 5};
  return {
      add("weighted_1_token", {.cols = 4096, .norm_mode = kNormWeighted, .eps = 1e-6f}, {.n_tokens = 1}),
      add("weighted_odd_width", {.cols = 331, .norm_mode = kNormWeighted, .eps = 1e-6f}, three),
      add("heads_plain_rope", {.cols = 96, .rope = 32, .norm_mode = kNormPlain, .rows_per_token = 5, .eps = 1e-6f},
          three),
      add("d512_rope64_7_tokens",
          {.cols = 512, .rope = 64, .norm_mode = kNormWeighted, .rows_per_token = 2, .eps = 1e-6f}, {.n_tokens = 7}),
      add("rope_only_whole_row", {.cols = 32, .rope = 32, .norm_mode = kNormNone, .rows_per_token = 3}, three),
      add("entries_of_ratio_4", {.cols = 192, .rope = 64, .norm_mode = kNormWeighted, .ratio = 4, .eps = 1e-6f},
          {.n_tokens = 11, .position = 6}),
      add("no_entry_complete", {.cols = 64, .rope = 32, .norm_mode = kNormWeighted, .ratio = 128, .eps = 1e-6f},
          {.n_tokens = 1, .position = 6}),
      add("rows_of_logits", {.cols = 130, .norm_mode = kNormWeighted, .eps = 1e-5f, .count_at = kStepLogits},
          {.n_tokens = 9, .n_logits = 2, .logits_first = 7}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  const auto weight = spec::from_bytes<float>(data.bindings[1].content);
  Expected y{.binding = 2};
  const size_t rows = size_t{table_rows(p, read_step_header(data.step))} * rows_per_table_row(p);
  for (size_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (uint32_t c = 0; c < p.cols; ++c) squares += double{x[r * p.cols + c]} * x[r * p.cols + c];
    const double scale = p.norm_mode == kNormNone ? 1 : 1 / std::sqrt(squares / p.cols + double{p.eps});
    std::vector<double> row(p.cols);
    for (uint32_t c = 0; c < p.cols; ++c) {
      row[c] = x[r * p.cols + c] * scale * (p.norm_mode == kNormWeighted ? weight[c] : 1);
    }
    std::vector<double> magnitude(p.cols);
    for (uint32_t c = 0; c < p.cols; ++c) magnitude[c] = std::abs(row[c]);
    const size_t table = p.rope_at + r / rows_per_table_row(p) * p.rope;
    for (uint32_t i = 0; i < p.rope / 2; ++i) {
      const uint32_t c = p.cols - p.rope + 2 * i;
      const double cosine = std::bit_cast<float>(data.step[table + 2 * i]);
      const double sine = std::bit_cast<float>(data.step[table + 2 * i + 1]);
      const double even = row[c];
      const double odd = row[c + 1];
      row[c] = even * cosine - odd * sine;
      row[c + 1] = even * sine + odd * cosine;
      magnitude[c] = magnitude[c + 1] = std::abs(even) + std::abs(odd);
    }
    y.values.insert(y.values.end(), row.begin(), row.end());
    y.scales.insert(y.scales.end(), magnitude.begin(), magnitude.end());
  }
  // There is room for more rows than this step has: they stay as they were.
  y.values.resize(x.size(), kUntouched);
  y.scales.resize(x.size(), 0);
  return {y};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t elements = uint64_t{table_rows(p, step)} * rows_per_table_row(p) * p.cols;
  return {.bytes = elements * 8 + p.cols * 4, .flops = elements * 4};
}

}  // namespace

const KernelSpec& kernels::rms_norm_rope_f32() {
  static const KernelSpec spec = {
      .name = "rms_norm_rope_f32",
      .formula = "y[r] = rope(w·x[r]·rsqrt(mean(x[r]²) + eps)); x, y [rows, cols]; the last `rope` columns turn",
      .bindings = {{.name = "x", .shape = "[rows, cols]"},
                   {.name = "weight", .shape = "[cols]"},
                   {.name = "y", .access = Access::kWrite, .shape = "[rows, cols]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params =
          {{"cols"}, {"rope"}, {"rope_at"}, {"norm_mode"}, {"rows_per_token"}, {"ratio"}, {"eps", true}, {"count_at"}},
      .variants = {{.name = "portable",
                    .text = "norm/rms_norm_rope_f32/rms_norm_rope_f32.kernel",
                    .workgroup = 64,
                    .constants = {},
                    .shared = {{"partial", ElementType::kF32, "WG"}},
                    .requires_ = {}},
                   {.name = "wide",
                    .text = "norm/rms_norm_rope_f32/rms_norm_rope_f32.kernel",
                    .workgroup = 8,
                    .constants = {},
                    .shared = {{"partial", ElementType::kF32, "WG"}},
                    .requires_ = {},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 16,
                    .why =
                        "a tree sum of f32 squares (its error halves in the root), a 2.5 ulp division, a 2 ulp rsqrt, "
                        "2 products and the 2-term rotation"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
