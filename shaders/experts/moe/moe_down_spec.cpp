#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "runtime/core/x_kind.h"
#include "shaders/experts/moe/moe_cases.h"
#include "shaders/experts/moe/moe_spec.h"

namespace nibble {
namespace {

Grid down_grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<MoeDownParams>(params);
  const uint32_t lanes = spec::constant_of(variant, "SERIAL") != 0 ? variant.workgroup : 1;
  return {.x = GridDim::constant(spec::ceil_div(p.rows, spec::constant_of(variant, "ROWS") * lanes)),
          .y = GridDim::tokens()};
}

// For tokens that all go to different experts: every pair reads its own matrix.
template <WeightFormat kFormat>
Cost down_cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<MoeDownParams>(params);
  const ExpertMatrix matrix{kFormat, p.rows, p.cols};
  const uint64_t pairs = uint64_t{step.n_tokens} * p.k;
  const uint64_t read = std::min<uint64_t>(pairs, p.expert_end - p.expert_begin);
  return {.bytes = read * (matrix.item_bytes() + matrix.scale_item_bytes()) + pairs * p.cols * 4 +
                   uint64_t{step.n_tokens} * p.rows * 4,
          .flops = pairs * p.rows * p.cols * 2};
}

struct Shape {
  std::string_view name;
  MoeDownParams params;
  uint32_t n_tokens = 0;
  uint32_t experts = 0;  // that ids name
  bool extreme_scales = false;
};

template <WeightFormat kFormat>
CaseData make_down_case(const Shape& shape, Rng& rng) {
  const MoeDownParams& p = shape.params;
  const size_t pairs = size_t{shape.n_tokens} * p.k;
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = shape.n_tokens, .position = 9})};
  std::vector<uint32_t> ids(pairs);
  for (uint32_t& id : ids) id = rng.below(shape.experts);
  data.bindings.push_back({.content = spec::to_bytes(spec::activations(rng, pairs, p.cols, p.x_kind))});
  data.bindings.push_back({.content = spec::to_bytes(ids)});
  add_matrices(data, {kFormat, p.rows, p.cols}, p.expert_end - p.expert_begin, shape.extreme_scales, rng);
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{shape.n_tokens} * p.rows))});
  data.bindings.emplace_back();
  return data;
}

template <WeightFormat kFormat>
std::vector<KernelCase> down_cases() {
  constexpr bool kFp4 = kFormat == WeightFormat::kFp4;
  const uint32_t short_block = kFp4 ? 96 : 80;  // columns: not whole blocks of 128
  // Six experts nearly everywhere: the cut into slabs is part of the text, and each text takes drivers a second.
  constexpr auto kFp8 = static_cast<uint32_t>(XKind::kFp8);
  constexpr auto kCoarse = static_cast<uint32_t>(XKind::kCoarse);
  // 2144 columns: even 64 invocations with 32 of them each take several turns.
  const std::vector<Shape> shapes = {
      {"one_token", {.rows = 37, .cols = 2144, .k = 6, .expert_end = 6}, 1, 6},
      {"accumulate", {.rows = 67, .cols = short_block, .k = 2, .expert_end = 6, .accumulate = 1}, 3, 6},
      {"tiles_of_one_expert", {.rows = 13, .cols = 288, .k = 3, .expert_end = 6}, 17, 2},
      {"first_range_of_experts", {.rows = 131, .cols = 192, .k = 4, .expert_end = 6}, 7, 12},
      {"next_range_of_experts",
       {.rows = 131, .cols = 192, .k = 4, .expert_begin = 6, .expert_end = 12, .accumulate = 1},
       7,
       12},
      {"below_every_tile", {.rows = 1, .cols = 32, .k = 1, .expert_end = 1}, 2, 1},
      {"fp8_activations", {.rows = 70, .cols = 640, .k = 6, .expert_end = 6, .x_kind = kFp8}, 1, 6},
      {"fp8_activations_uneven",
       {.rows = 69, .cols = 544, .k = 2, .expert_end = 6, .accumulate = 1, .x_kind = kFp8},
       23,
       5},
      {"fp8_activations_prefill", {.rows = 133, .cols = 288, .k = 3, .expert_end = 6, .x_kind = kFp8}, 61, 4},
      {"fp8_activations_scale_codes", {.rows = 9, .cols = 256, .k = 2, .expert_end = 6, .x_kind = kFp8}, 21, 6, true},
      {"coarse_one_token", {.rows = 37, .cols = 160, .k = 3, .expert_end = 6, .x_kind = kCoarse}, 1, 6},
      {"coarse_prefill", {.rows = 43, .cols = 416, .k = 2, .expert_end = 6, .x_kind = kCoarse}, 40, 3},
      {"scale_codes_0_and_1", {.rows = 9, .cols = 256, .k = 2, .expert_end = 6}, 3, 6, true},
  };
  std::vector<KernelCase> cases;
  for (const Shape& shape : shapes) {
    cases.push_back(spec::sized_case(std::string(shape.name), shape, make_down_case<kFormat>, moe_sizes<Shape>()));
  }
  const EveryCode every{.fp4 = kFp4};
  for (const uint32_t kind : {kFp8, kCoarse}) {
    if (!kFp4 && kind == kCoarse) continue;
    const Shape shape = {
        "", {.rows = every.rows(), .cols = every.kCols, .k = 1, .expert_end = 1, .x_kind = kind}, every.tokens(), 1};
    cases.push_back({kind == kFp8 ? "every_code" : "every_code_coarse", [shape, every](Rng& rng) {
                       CaseData data = make_down_case<kFormat>(shape, rng);
                       data.bindings[0].content = spec::to_bytes(spec::one_hot_rows(every.tokens(), every.kCols));
                       put_codes(data, 2, every, false);
                       return data;
                     }});
  }
  return cases;
}

template <WeightFormat kFormat>
std::vector<Expected> down_reference(const CaseData& data) {
  const auto p = unpack_params<MoeDownParams>(data.params);
  const ExpertMatrix matrix{kFormat, p.rows, p.cols};
  const auto h = spec::from_bytes<float>(data.bindings[0].content);
  const auto ids = spec::from_bytes<uint32_t>(data.bindings[1].content);
  const auto before = spec::from_bytes<float>(data.bindings[4].content);
  Expected y{.binding = 4};
  for (size_t i = 0; i < before.size(); ++i) {
    const auto row = static_cast<uint32_t>(i % p.rows);
    spec::DotReference dot({h}, p.x_kind, p.accumulate != 0 ? before[i] : 0.0);
    for (size_t pair = i / p.rows * p.k; pair < (i / p.rows + 1) * p.k; ++pair) {
      if (ids[pair] < p.expert_begin || ids[pair] >= p.expert_end) continue;
      const spec::StoredMatrix w2 = stored_matrix(data, 2, matrix, ids[pair] - p.expert_begin);
      for (uint32_t c = 0; c < p.cols; ++c) dot.add(w2.at(row, c), pair * p.cols + c);
    }
    y.values.push_back(dot.value());
    y.scales.push_back(dot.magnitude());
    y.slack.push_back(dot.slack());
  }
  return {y};
}

template <WeightFormat kFormat>
KernelSpec moe_down_spec(std::string_view name) {
  constexpr auto kRead = Access::kRead;
  KernelSpec spec{
      .name = name,
      .formula = "y[t,r] (+)= Σ_k w2[e]·h[t,k], e = ids[t,k], over experts in [expert_begin, expert_end)",
      .bindings = {{"h", ElementType::kF32x4, kRead, BindingKind::kBuffer, "[T, k, cols]"},
                   {"ids", ElementType::kU32, kRead, BindingKind::kBuffer, "[T, k]"},
                   {"w2", ElementType::kU32x4, kRead, BindingKind::kSlabs, "[experts][rows, cols]"},
                   {"s2", ElementType::kU32, kRead, BindingKind::kSlabs, "[experts] scales of w2"},
                   {"y", ElementType::kF32, Access::kReadWrite, BindingKind::kBuffer, "[T, rows]"},
                   {"step", ElementType::kU32, kRead, BindingKind::kStep, ""}},
      .params = {{"rows"}, {"cols"}, {"k"}, {"expert_begin"}, {"expert_end"}, {"accumulate"}, {"x_kind"}},
      .variants = {{.name = "portable",
                    .text = "experts/moe/moe_down.kernel",
                    .workgroup = 64,
                    .constants = {{"ROWS", 4}, {"SERIAL", 0}},
                    .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * ROWS"}}},
                   {.name = "wide",
                    .text = "experts/moe/moe_down.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 4}, {"SERIAL", 1}},
                    .for_wide_cpu = true},
                   {.name = "texels",
                    .text = "experts/moe/moe_down_texels.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 8}, {"SERIAL", 1}},
                    .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                    .for_wide_cpu = true,
                    .texels = {"h", "w2", "s2"}},
                   {.name = "vector",
                    .text = "experts/moe/moe_down_vector.kernel",
                    .workgroup = 1,
                    .constants = {{"ROWS", 4}, {"SERIAL", 1}},
                    .for_wide_cpu = true,
                    .dialect = Dialect::kOpenCl}},
      .grid = down_grid,
      .cases = down_cases<kFormat>,
      .reference = down_reference<kFormat>,
      .tolerance = {.eps = 4,
                    .absolute = 2048 * 0x1p-150,
                    .why = "f32 sums of at most 2048 products in several accumulators, against Σ|w·h|; products "
                           "below 2^-126 lie on a grid of 2^-149"},
      .cost = down_cost<kFormat>};
  for (Variant& variant : moe_gemv_variants(false)) spec.variants.push_back(std::move(variant));
  use_experts(spec, kFormat, false);
  return spec;
}

}  // namespace

const KernelSpec& kernels::moe_down_fp4_f32() {
  static const KernelSpec spec = moe_down_spec<WeightFormat::kFp4>("moe_down_fp4_f32");
  return spec;
}

const KernelSpec& kernels::moe_down_fp8_f32() {
  static const KernelSpec spec = moe_down_spec<WeightFormat::kFp8>("moe_down_fp8_f32");
  return spec;
}

}  // namespace nibble
