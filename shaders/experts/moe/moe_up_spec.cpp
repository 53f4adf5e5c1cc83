#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/kernel_table.h"
#include "runtime/core/x_kind.h"
#include "shaders/experts/moe/moe_cases.h"
#include "shaders/experts/moe/moe_spec.h"

namespace nibble {
namespace {

Grid up_grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<MoeUpParams>(params);
  if (is_for_tiles(variant)) return moe_tiles_grid(variant, p.rows, p.k, p.experts);
  const uint32_t lanes = spec::constant_of(variant, "SERIAL") != 0 ? variant.workgroup : 1;
  const bool grouped = variant.requires_rows >= kMoeTiledFrom;
  return {.x = GridDim::constant(spec::ceil_div(p.rows, spec::constant_of(variant, "ROWS") * lanes)),
          .y = grouped ? GridDim::sorted_tiles(p.k, kMoeTilePairs, p.experts) : GridDim::tokens(p.k)};
}

// For tokens that all go to different experts: every pair reads its own two matrices.
template <WeightFormat kFormat>
Cost up_cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<MoeUpParams>(params);
  const ExpertMatrix matrix{kFormat, p.rows, p.cols};
  const uint64_t pairs = uint64_t{step.n_tokens} * p.k;
  const uint64_t read = std::min<uint64_t>(pairs, p.expert_end - p.expert_begin);
  return {.bytes = read * 2 * (matrix.item_bytes() + matrix.scale_item_bytes()) + uint64_t{step.n_tokens} * p.cols * 4 +
                   pairs * p.rows * 4,
          .flops = pairs * p.rows * p.cols * 4};
}

struct Shape {
  std::string_view name;
  MoeUpParams params;
  uint32_t n_tokens = 0;
  uint32_t experts = 0;  // that ids name
  bool extreme_scales = false;
};

template <WeightFormat kFormat>
CaseData make_up_case(const Shape& shape, Rng& rng) {
  MoeUpParams p = shape.params;
  const uint32_t pairs = shape.n_tokens * p.k;
  p.experts = shape.experts;
  p.order_at = moe_order_at(pairs, p.experts);
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = shape.n_tokens, .position = 9})};
  std::vector<uint32_t> ids(pairs);
  for (uint32_t& id : ids) id = rng.below(shape.experts);
  data.bindings.push_back({.content = spec::to_bytes(spec::activations(rng, shape.n_tokens, p.cols, p.x_kind))});
  data.bindings.push_back({.content = spec::to_bytes(ids)});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, pairs))});
  for (int matrix = 0; matrix < 2; ++matrix) {
    add_matrices(data, {kFormat, p.rows, p.cols}, p.expert_end - p.expert_begin, shape.extreme_scales, rng);
  }
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{pairs} * p.rows))});
  data.bindings.push_back(tiled_pairs(ids, p.experts));
  data.bindings.emplace_back();
  return data;
}

template <WeightFormat kFormat>
std::vector<KernelCase> up_cases() {
  constexpr bool kFp4 = kFormat == WeightFormat::kFp4;
  const uint32_t short_block = kFp4 ? 96 : 80;  // columns: not whole blocks of 128
  // Six experts nearly everywhere: the cut into slabs is part of the text, and each text takes drivers a second.
  constexpr auto kFp8 = static_cast<uint32_t>(XKind::kFp8);
  constexpr auto kCoarse = static_cast<uint32_t>(XKind::kCoarse);
  // 2144 columns: even 64 invocations with 32 of them each take several turns.
  const std::vector<Shape> shapes = {
      {"one_token", {.rows = 37, .cols = 2144, .k = 6, .expert_end = 6, .limit = 10}, 1, 6},
      {"three_tokens", {.rows = 67, .cols = short_block, .k = 2, .expert_end = 6, .limit = 1}, 3, 6},
      {"tiles_of_one_expert", {.rows = 13, .cols = 288, .k = 3, .expert_end = 6, .limit = 2}, 17, 2},
      {"many_pairs", {.rows = 6, .cols = 64, .k = 4, .expert_end = 6, .limit = 3}, 43, 7},
      {"range_of_experts", {.rows = 131, .cols = 192, .k = 4, .expert_begin = 3, .expert_end = 9, .limit = 10}, 7, 12},
      {"below_every_tile", {.rows = 1, .cols = 32, .k = 1, .expert_end = 1, .limit = 10}, 2, 1},
      {"fp8_activations", {.rows = 70, .cols = 640, .k = 6, .expert_end = 6, .limit = 10, .x_kind = kFp8}, 1, 6},
      {"fp8_activations_uneven", {.rows = 69, .cols = 544, .k = 2, .expert_end = 6, .limit = 5, .x_kind = kFp8}, 23, 5},
      {"fp8_activations_prefill",
       {.rows = 133, .cols = 288, .k = 3, .expert_end = 6, .limit = 4, .x_kind = kFp8},
       61,
       4},
      {"fp8_activations_scale_codes",
       {.rows = 9, .cols = 256, .k = 2, .expert_end = 6, .limit = 10, .x_kind = kFp8},
       21,
       6,
       true},
      {"coarse_one_token", {.rows = 37, .cols = 160, .k = 3, .expert_end = 6, .limit = 10, .x_kind = kCoarse}, 1, 6},
      {"coarse_prefill",
       {.rows = 53, .cols = 288, .k = 2, .expert_begin = 1, .expert_end = 7, .limit = 10, .x_kind = kCoarse},
       139,
       8},
      {"scale_codes_0_and_1", {.rows = 9, .cols = 256, .k = 2, .expert_end = 6, .limit = 10}, 3, 6, true},
  };
  std::vector<KernelCase> cases;
  for (const Shape& shape : shapes) {
    cases.push_back(spec::sized_case(std::string(shape.name), shape, make_up_case<kFormat>, moe_sizes<Shape>()));
  }
  // The other matrix is 1 wherever it is looked at. What decodes e4m3 meets all scales in the other kernels.
  const EveryCode every{.fp4 = kFp4, .scale_step = kFp4 ? 1u : 16u};
  for (const size_t matrix : {3, 5}) {
    const MoeUpParams p = {
        .rows = every.rows(), .cols = every.kCols, .k = 1, .expert_end = 1, .limit = 3e38f, .x_kind = kFp8};
    cases.push_back({matrix == 3 ? "every_code_of_w1" : "every_code_of_w3", [p, matrix, every](Rng& rng) {
                       CaseData data = make_up_case<kFormat>({"", p, every.tokens(), 1}, rng);
                       data.bindings[0].content = spec::to_bytes(spec::one_hot_rows(every.tokens(), every.kCols));
                       data.bindings[2].content = spec::to_bytes(std::vector<float>(every.tokens(), 1.0f));
                       put_codes(data, 3, every, matrix != 3);
                       put_codes(data, 5, every, matrix != 5);
                       return data;
                     }});
  }
  return cases;
}

template <WeightFormat kFormat>
std::vector<Expected> up_reference(const CaseData& data) {
  const auto p = unpack_params<MoeUpParams>(data.params);
  const ExpertMatrix matrix{kFormat, p.rows, p.cols};
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  const auto ids = spec::from_bytes<uint32_t>(data.bindings[1].content);
  const auto weights = spec::from_bytes<float>(data.bindings[2].content);
  const double limit = p.limit;
  const auto product = [&](size_t at, uint32_t item, uint32_t r, size_t token) {
    spec::DotReference dot({x.data() + token * p.cols, p.cols}, p.x_kind);
    const spec::StoredMatrix w = stored_matrix(data, at, matrix, item);
    for (uint32_t c = 0; c < p.cols; ++c) dot.add(w.at(r, c), c);
    return dot;
  };
  Expected h{.binding = 7};
  const size_t pairs = size_t{read_step_header(data.step).n_tokens} * p.k;
  h.values.assign(pairs * p.rows, kUntouched);
  h.scales.assign(pairs * p.rows, 0.0);
  h.slack.assign(pairs * p.rows, 0.0);
  for (size_t pair = 0; pair < pairs; ++pair) {
    if (ids[pair] < p.expert_begin || ids[pair] >= p.expert_end) continue;
    for (uint32_t r = 0; r < p.rows; ++r) {
      const spec::DotReference gate_sum = product(3, ids[pair] - p.expert_begin, r, pair / p.k);
      const spec::DotReference up_sum = product(5, ids[pair] - p.expert_begin, r, pair / p.k);
      const double gate = std::min(gate_sum.value(), limit);
      const double silu = gate / (1 + std::exp(-gate));
      const double up = std::clamp(up_sum.value(), -limit, limit);
      const double weight = weights[pair];
      h.values[pair * p.rows + r] = silu * up * weight;
      // First order: |silu'| <= 1.1; then exp, off by up to 3 + 2|g| ulp.
      const double spread = 1.1 * std::fabs(up) * gate_sum.magnitude() + std::fabs(silu) * up_sum.magnitude();
      h.scales[pair * p.rows + r] = (spread + std::fabs(silu * up) * (1 + std::fabs(gate))) * std::fabs(weight);
      h.slack[pair * p.rows + r] = std::fabs(weight) * (1.1 * gate_sum.slack() * (std::fabs(up) + up_sum.slack()) +
                                                        std::fabs(silu) * up_sum.slack());
    }
  }
  return {h};
}

template <WeightFormat kFormat>
KernelSpec moe_up_spec(std::string_view name) {
  constexpr auto kRead = Access::kRead;
  constexpr auto kSlabs = BindingKind::kSlabs;
  KernelSpec spec{
      .name = name,
      .formula =
          "h[t,k,i] = silu(min(g, limit))·clamp(u, ±limit)·weights[t,k], g = w1[e]·x[t], u = w3[e]·x[t], "
          "e = ids[t,k]",
      .bindings = {{"x", ElementType::kF32x4, kRead, BindingKind::kBuffer, "[T, cols]"},
                   {"ids", ElementType::kU32, kRead, BindingKind::kBuffer, "[T, k]"},
                   {"weights", ElementType::kF32, kRead, BindingKind::kBuffer, "[T, k]"},
                   {"w1", ElementType::kU32x4, kRead, kSlabs, "[experts][rows, cols]"},
                   {"s1", ElementType::kU32, kRead, kSlabs, "[experts] scales of w1"},
                   {"w3", ElementType::kU32x4, kRead, kSlabs, "[experts][rows, cols]"},
                   {"s3", ElementType::kU32, kRead, kSlabs, "[experts] scales of w3"},
                   {"h", ElementType::kF32, Access::kReadWrite, BindingKind::kBuffer, "[T, k, rows]"},
                   {"tiles", ElementType::kU32, kRead, BindingKind::kBuffer, "as moe_tiles_u32 leaves it"},
                   {"step", ElementType::kU32, kRead, BindingKind::kStep, ""}},
      .params = {{"rows"},
                 {"cols"},
                 {"k"},
                 {"expert_begin"},
                 {"expert_end"},
                 {"limit", true},
                 {"x_kind"},
                 {"experts"},
                 {"order_at"}},
      .variants = {{.name = "portable",
                    .text = "experts/moe/moe_up.kernel",
                    .workgroup = 64,
                    .constants = {{"ROWS", 2}, {"PAIRS", 4}, {"SERIAL", 0}},
                    .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * 2 * ROWS * PAIRS"},
                               {.name = "counts", .type = ElementType::kU32, .count = "WG"},
                               {.name = "members", .type = ElementType::kU32, .count = "PAIRS"},
                               {.name = "lead", .type = ElementType::kU32, .count = "1"}}},
                   {.name = "wide",
                    .text = "experts/moe/moe_up.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 2}, {"PAIRS", 4}, {"SERIAL", 1}},
                    .for_wide_cpu = true},
                   {.name = "texels",
                    .text = "experts/moe/moe_up_texels.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 4}, {"SERIAL", 1}},
                    .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                    .for_wide_cpu = true,
                    .texels = {"x", "w1", "s1", "w3", "s3"}},
                   {.name = "texels_tile",
                    .text = "experts/moe/moe_texels_tile.kernel",
                    .workgroup = 8,
                    .constants = {{"ROWS", 4}, {"SERIAL", 1}, {"TOKENS", 4}},
                    .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                    .for_wide_cpu = true,
                    .min_rows = kMoeTiledFrom,
                    .requires_rows = kMoeTiledFrom,
                    .texels = {"x", "w1", "s1", "w3", "s3"}},
                   {.name = "vector",
                    .text = "experts/moe/moe_up_vector.kernel",
                    .workgroup = 1,
                    .constants = {{"ROWS", 4}, {"SERIAL", 1}},
                    .for_wide_cpu = true,
                    .dialect = Dialect::kOpenCl},
                   {.name = "panel",
                    .text = "experts/moe/moe_panel.kernel",
                    .workgroup = 1,
                    .constants = {{"ROWS", 16}, {"PAIRS", kMoeTilePairs}, {"PANEL", 256}, {"SERIAL", 1}},
                    .shared = {{.name = "panel", .type = ElementType::kF32, .count = "PANEL * 16"}},
                    .for_wide_cpu = true,
                    .min_rows = kMoeTiledFrom,
                    .requires_rows = kMoeTiledFrom,
                    .dialect = Dialect::kOpenCl}},
      .grid = up_grid,
      .cases = up_cases<kFormat>,
      .reference = up_reference<kFormat>,
      .tolerance = {.eps = 4,
                    .absolute = 0x1p-126,
                    .why = "two f32 sums in several accumulators and one exp, each with its magnitude; the product of "
                           "two tiny ones has no f32 but 0"},
      .cost = up_cost<kFormat>};
  for (Variant& variant : moe_gemv_variants(true)) spec.variants.push_back(std::move(variant));
  for (Variant& variant : moe_tiles_gemv_variants(true)) spec.variants.push_back(std::move(variant));
  for (Variant& variant : moe_tile_variants(true)) spec.variants.push_back(std::move(variant));
  for (Variant& variant : moe_matrix_variants(true, spec::may_round_x<MoeUpParams>)) {
    spec.variants.push_back(std::move(variant));
  }
  if (kFormat == WeightFormat::kFp4) spec.variants.push_back(moe_int8_variant(true, has_coarse_x<MoeUpParams>));
  use_experts(spec, kFormat, true);
  return spec;
}

}  // namespace

const KernelSpec& kernels::moe_up_fp4_f32() {
  static const KernelSpec spec = moe_up_spec<WeightFormat::kFp4>("moe_up_fp4_f32");
  return spec;
}

const KernelSpec& kernels::moe_up_fp8_f32() {
  static const KernelSpec spec = moe_up_spec<WeightFormat::kFp8>("moe_up_fp8_f32");
  return spec;
}

}  // namespace nibble
