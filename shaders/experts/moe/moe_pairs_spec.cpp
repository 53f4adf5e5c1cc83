#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/kernel_table.h"
#include "runtime/core/x_kind.h"
#include "shaders/experts/moe/moe_cases.h"
#include "shaders/experts/moe/moe_spec.h"

namespace nibble {
namespace {

Grid pairs_grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<MoePairsParams>(params);
  if (is_for_tiles(variant)) return moe_tiles_grid(variant, p.rows, p.k, p.experts);
  const uint32_t lanes = spec::constant_of(variant, "SERIAL") != 0 ? variant.workgroup : 1;
  return {.x = GridDim::constant(spec::ceil_div(p.rows, spec::constant_of(variant, "ROWS") * lanes)),
          .y = GridDim::sorted_tiles(p.k, kMoeTilePairs, p.experts),
          .z = GridDim::constant(spec::ceil_div(kMoeTilePairs, spec::constant_of(variant, "PAIRS")))};
}

// For tokens that all go to different experts, as far as there are experts.
template <WeightFormat kFormat>
Cost pairs_cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<MoePairsParams>(params);
  const ExpertMatrix matrix{kFormat, p.rows, p.cols};
  const uint64_t pairs = uint64_t{step.n_tokens} * p.k;
  const uint64_t read = std::min<uint64_t>(pairs, p.expert_end - p.expert_begin);
  return {.bytes = read * (matrix.item_bytes() + matrix.scale_item_bytes()) + pairs * (p.cols + p.rows) * 4,
          .flops = pairs * p.rows * p.cols * 2};
}

struct Shape {
  std::string_view name;
  MoePairsParams params;
  uint32_t n_tokens = 0;
  uint32_t experts = 0;  // that ids name
  bool extreme_scales = false;
};

template <WeightFormat kFormat>
CaseData make_pairs_case(const Shape& shape, Rng& rng) {
  MoePairsParams p = shape.params;
  const uint32_t pairs = shape.n_tokens * p.k;
  p.experts = shape.experts;
  p.order_at = moe_order_at(pairs, p.experts);
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = shape.n_tokens, .position = 9})};
  std::vector<uint32_t> ids(pairs);
  // Half of the pairs go to the first experts, so that tiles are full, partial and missing.
  for (uint32_t& id : ids) id = rng.below(rng.below(2) == 0 ? shape.experts : (shape.experts + 2) / 3);
  data.bindings.push_back({.content = spec::to_bytes(spec::activations(rng, pairs, p.cols, p.x_kind))});
  add_matrices(data, {kFormat, p.rows, p.cols}, p.expert_end - p.expert_begin, shape.extreme_scales, rng);
  data.bindings.push_back(tiled_pairs(ids, p.experts));
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{pairs} * p.rows))});
  data.bindings.emplace_back();
  return data;
}

template <WeightFormat kFormat>
std::vector<KernelCase> pairs_cases() {
  constexpr auto kFp8 = static_cast<uint32_t>(XKind::kFp8);
  constexpr auto kCoarse = static_cast<uint32_t>(XKind::kCoarse);
  constexpr bool kFp4 = kFormat == WeightFormat::kFp4;
  const uint32_t short_block = kFp4 ? 96 : 80;  // columns: not whole blocks of 128
  // Six experts nearly everywhere: the cut into slabs is part of the text, and each text takes drivers a second.
  // 2144 columns: even 64 invocations with 32 of them each take several turns.
  const std::vector<Shape> shapes = {
      {"below_every_tile", {.rows = 1, .cols = 32, .k = 1, .expert_end = 1}, 2, 1},
      {"few_tokens", {.rows = 11, .cols = 2144, .k = 6, .expert_end = 6}, 8, 6},
      {"full_tiles", {.rows = 101, .cols = short_block, .k = 3, .expert_end = 6}, 131, 6},
      {"first_range_of_experts", {.rows = 131, .cols = 192, .k = 4, .expert_end = 6}, 17, 12},
      {"next_range_of_experts", {.rows = 67, .cols = 192, .k = 4, .expert_begin = 6, .expert_end = 12}, 17, 12},
      {"fp8_activations", {.rows = 133, .cols = 288, .k = 3, .expert_end = 6, .x_kind = kFp8}, 61, 4},
      {"fp8_activations_scale_codes", {.rows = 9, .cols = 256, .k = 2, .expert_end = 6, .x_kind = kFp8}, 21, 6, true},
      {"coarse_range_of_experts",
       {.rows = 76, .cols = 384, .k = 2, .expert_begin = 2, .expert_end = 8, .x_kind = kCoarse},
       40,
       9},
      {"coarse_one_expert", {.rows = 131, .cols = 96, .k = 2, .expert_end = 6, .x_kind = kCoarse}, 23, 1},
  };
  std::vector<KernelCase> cases;
  for (const Shape& shape : shapes) {
    cases.push_back(spec::sized_case(std::string(shape.name), shape, make_pairs_case<kFormat>, moe_sizes<Shape>()));
  }
  const EveryCode every{.fp4 = kFp4};
  for (const uint32_t kind : {kFp8, kCoarse}) {
    if (!kFp4 && kind == kCoarse) continue;
    const Shape shape = {
        "", {.rows = every.rows(), .cols = every.kCols, .k = 1, .expert_end = 1, .x_kind = kind}, every.tokens(), 1};
    cases.push_back({kind == kFp8 ? "every_code" : "every_code_coarse", [shape, every](Rng& rng) {
                       CaseData data = make_pairs_case<kFormat>(shape, rng);
                       data.bindings[0].content = spec::to_bytes(spec::one_hot_rows(every.tokens(), every.kCols));
                       put_codes(data, 1, every, false);
                       return data;
                     }});
  }
  return cases;
}

template <WeightFormat kFormat>
std::vector<Expected> pairs_reference(const CaseData& data) {
  const auto p = unpack_params<MoePairsParams>(data.params);
  const ExpertMatrix matrix{kFormat, p.rows, p.cols};
  const auto h = spec::from_bytes<float>(data.bindings[0].content);
  const auto tiles = spec::from_bytes<uint32_t>(data.bindings[3].content);
  Expected out{.binding = 4};
  out.values.assign(size_t{data.step[kStepTokens]} * p.k * p.rows, kUntouched);
  out.scales.assign(out.values.size(), 0.0);
  out.slack.assign(out.values.size(), 0.0);
  for (uint32_t tile = 0; tile < tiles[0]; ++tile) {
    const uint32_t expert = tiles[4 + 4 * tile];
    if (expert < p.expert_begin || expert >= p.expert_end) continue;
    const spec::StoredMatrix w2 = stored_matrix(data, 1, matrix, expert - p.expert_begin);
    for (uint32_t i = 0; i < tiles[4 + 4 * tile + 2]; ++i) {
      const size_t pair = tiles[p.order_at + tiles[4 + 4 * tile + 1] + i];
      for (uint32_t r = 0; r < p.rows; ++r) {
        spec::DotReference dot({h.data() + pair * p.cols, p.cols}, p.x_kind);
        for (uint32_t c = 0; c < p.cols; ++c) dot.add(w2.at(r, c), c);
        out.values[pair * p.rows + r] = dot.value();
        out.scales[pair * p.rows + r] = dot.magnitude();
        out.slack[pair * p.rows + r] = dot.slack();
      }
    }
  }
  return {out};
}

template <WeightFormat kFormat>
KernelSpec moe_pairs_spec(std::string_view name) {
  constexpr auto kRead = Access::kRead;
  KernelSpec spec{
      .name = name,
      .formula =
          "p[t,k,r] = w2[e]·h[t,k], e = ids[t,k], over experts in [expert_begin, expert_end), by tiles of one expert",
      .bindings = {{"h", ElementType::kF32x4, kRead, BindingKind::kBuffer, "[T, k, cols]"},
                   {"w2", ElementType::kU32x4, kRead, BindingKind::kSlabs, "[experts][rows, cols]"},
                   {"s2", ElementType::kU32, kRead, BindingKind::kSlabs, "[experts] scales of w2"},
                   {"tiles", ElementType::kU32, kRead, BindingKind::kBuffer, "as moe_tiles_u32 leaves it"},
                   {"out_pairs", ElementType::kF32, Access::kReadWrite, BindingKind::kBuffer, "[T, k, rows]"},
                   {"step", ElementType::kU32, kRead, BindingKind::kStep, ""}},
      .params = {{"rows"}, {"cols"}, {"k"}, {"expert_begin"}, {"expert_end"}, {"x_kind"}, {"experts"}, {"order_at"}},
      .variants = {{.name = "portable",
                    .text = "experts/moe/moe_pairs.kernel",
                    .workgroup = 64,
                    .constants = {{"ROWS", 4}, {"PAIRS", 4}, {"SERIAL", 0}},
                    .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * ROWS * PAIRS"}}},
                   {.name = "wide",
                    .text = "experts/moe/moe_pairs.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 4}, {"PAIRS", 4}, {"SERIAL", 1}},
                    .for_wide_cpu = true},
                   {.name = "texels",
                    .text = "experts/moe/moe_texels_tile.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 8}, {"PAIRS", kMoeTilePairs}, {"SERIAL", 1}, {"TOKENS", 4}},
                    .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                    .for_wide_cpu = true,
                    .texels = {"h", "w2", "s2"}},
                   {.name = "panel",
                    .text = "experts/moe/moe_panel.kernel",
                    .workgroup = 1,
                    .constants = {{"ROWS", 16}, {"PAIRS", kMoeTilePairs}, {"PANEL", 256}, {"SERIAL", 1}},
                    .shared = {{.name = "panel", .type = ElementType::kF32, .count = "PANEL * 16"}},
                    .for_wide_cpu = true,
                    .dialect = Dialect::kOpenCl}},
      .grid = pairs_grid,
      .cases = pairs_cases<kFormat>,
      .reference = pairs_reference<kFormat>,
      .tolerance = {.eps = 4,
                    .absolute = 512 * 0x1p-150,
                    .why = "f32 sums of at most 512 products in several accumulators, against Σ|w·h|; products below "
                           "2^-126 lie on a grid of 2^-149"},
      .cost = pairs_cost<kFormat>};
  for (Variant& variant : moe_tiles_gemv_variants(false)) spec.variants.push_back(std::move(variant));
  for (Variant& variant : moe_tile_variants(false)) spec.variants.push_back(std::move(variant));
  for (Variant& variant : moe_matrix_variants(false, spec::may_round_x<MoePairsParams>)) {
    spec.variants.push_back(std::move(variant));
  }
  if (kFormat == WeightFormat::kFp4) spec.variants.push_back(moe_int8_variant(false, has_coarse_x<MoePairsParams>));
  use_experts(spec, kFormat, false);
  return spec;
}

}  // namespace

const KernelSpec& kernels::moe_pairs_fp4_f32() {
  static const KernelSpec spec = moe_pairs_spec<WeightFormat::kFp4>("moe_pairs_fp4_f32");
  return spec;
}

const KernelSpec& kernels::moe_pairs_fp8_f32() {
  static const KernelSpec spec = moe_pairs_spec<WeightFormat::kFp8>("moe_pairs_fp8_f32");
  return spec;
}

}  // namespace nibble
