#include <bit>
#include <cmath>
#include <limits>

#include "runtime/core/kernel_table.h"
#include "runtime/core/x_kind.h"
#include "shaders/common/spec_util.h"
#include "shaders/formats/weight_format.h"
#include "shaders/linear/gemm/gemm.h"
#include "shaders/linear/gemm/gemm_code_cases.h"

namespace nibble {
namespace {

Grid gemm_grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<GemmParams>(params);
  const uint32_t lanes = spec::constant_of(variant, "SERIAL") != 0 ? variant.workgroup : 1;
  const uint32_t rows = spec::constant_of(variant, "ROWS") * lanes;
  return {.x = GridDim::constant(spec::ceil_div(p.rows, rows)),
          .y = spec::rows_dim(p.count_at, p.rows_per_token, spec::constant_of(variant, "TOKENS"))};
}

template <WeightFormat kFormat>
Cost gemm_cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<GemmParams>(params);
  const uint64_t rows = spec::row_count(step, p.count_at, p.rows_per_token);
  const uint64_t weights = uint64_t{p.rows} * p.cols;
  const uint64_t groups = p.group_rows == 0 ? 1 : spec::ceil_div(p.rows, p.group_rows);
  return {.bytes = p.rows * weight_row_bytes(kFormat, p.cols) + rows * (groups * p.cols + p.rows) * 4,
          .flops = 2 * weights * rows};
}

// Of matrices that have tiles for all of a GPU.
bool may_round_much_x(std::span<const std::byte> params) {
  return spec::may_round_x<GemmParams>(params) && unpack_params<GemmParams>(params).rows >= 4096;
}

// For GPUs: by how many rows of x there are at least. A weight is decoded once per TOKENS of them.
std::vector<Variant> gpu_variants(WeightFormat format) {
  const auto gemv = [&](std::string_view name, std::string_view subgroups_name, uint32_t rows, uint32_t tokens) {
    Variant plain{.name = name,
                  .text = "linear/gemm/gemm_gemv.kernel",
                  .workgroup = 64,
                  .constants = {{"ROWS", rows}, {"TOKENS", tokens}, {"SERIAL", 0}},
                  .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * ROWS * TOKENS"}},
                  .min_rows = tokens == 1 ? 0u : 2u};
    Variant subgroups = plain;
    subgroups.name = subgroups_name;
    subgroups.constants.push_back({"SUBGROUPS", 1});
    subgroups.shared.front().count = "WG / 2 * ROWS * TOKENS";
    subgroups.requires_ = {Capability::kSubgroups};
    subgroups.dialect = Dialect::kGlsl;
    return std::vector<Variant>{std::move(plain), std::move(subgroups)};
  };
  const auto tile = [&](std::string_view name, uint32_t tokens, uint32_t min_rows) {
    return Variant{.name = name,
                   .text = "linear/gemm/gemm_tile.kernel",
                   .workgroup = 128,
                   .constants = {{"ROWS", 128}, {"TOKENS", tokens}, {"SERIAL", 0}},
                   .shared = {{.name = "w_tile", .type = ElementType::kF32, .count = "16 * ROWS"},
                              {.name = "x_tile", .type = ElementType::kF32, .count = "16 * TOKENS"}},
                   .min_rows = min_rows};
  };
  const auto matrix = [&](std::string_view name, uint32_t tokens, uint32_t parts, uint32_t min_rows) {
    return Variant{.name = name,
                   .text = "linear/gemm/gemm_matrix.kernel",
                   .workgroup = 2 * tokens,
                   .constants = {{"ROWS", 128}, {"TOKENS", tokens}, {"PARTS", parts}, {"SERIAL", 0}},
                   .shared = {{.name = "w_tile", .type = ElementType::kU32x4, .count = "5 * ROWS"},
                              {.name = "x_tile", .type = ElementType::kU32x4, .count = "5 * TOKENS * PARTS"},
                              {.name = "out_tile", .type = ElementType::kF32, .count = "8 * WG"}},
                   .requires_ = {Capability::kMatrixUnits},
                   .min_rows = min_rows,
                   .dialect = Dialect::kGlsl};
  };
  std::vector<Variant> variants = gemv("gemv", "gemv_subgroups", 4, 1);
  for (Variant& variant : gemv("gemv4", "gemv4_subgroups", 2, 4)) variants.push_back(std::move(variant));
  variants.push_back(tile("tile32", 32, 16));
  variants.push_back(tile("tile64", 64, 64));
  if (format == WeightFormat::kF32) return variants;
  variants.push_back(spec::emulated_matrices("matrix3_emulated", matrix("matrix3", 64, 3, 16)));
  variants.push_back(spec::emulated_matrices("matrix128_emulated", matrix("matrix128", 128, 1, 256)));
  variants.back().serves = spec::may_round_x<GemmParams>;
  variants.push_back(matrix("matrix3", 64, 3, 16));
  variants.push_back(matrix("matrix", 64, 1, 16));
  variants.back().serves = spec::may_round_x<GemmParams>;
  variants.push_back(matrix("matrix128", 128, 1, 256));
  variants.back().serves = may_round_much_x;
  return variants;
}

// For steps of at least half a tile's tokens.
template <WeightFormat kFormat>
Variant texels_variant(std::string_view name, uint32_t tokens) {
  Variant variant = {.name = name,
                     .text = "linear/gemm/gemm_texels.kernel",
                     .workgroup = 8,
                     .constants = {{"ROWS", 8}, {"TOKENS", tokens}, {"SERIAL", 0}},
                     .requires_ = {Capability::kSubgroups, Capability::kTexelBuffers},
                     .for_wide_cpu = true,
                     .min_rows = (tokens + 1) / 2,
                     .texels = {"x", "w"}};
  if (has_scales(kFormat)) variant.texels.emplace_back("scale");
  return variant;
}

// ---- cases ------------------------------------------------------------------------------------------------------

struct Shape {
  std::string_view name;
  GemmParams params;
  StepHeader step;
  uint32_t all_rows = 0;  // of the whole matrix; scales cover it
};

std::vector<std::byte> random_weights(Rng& rng, WeightFormat format, size_t count) {
  if (format == WeightFormat::kF32) return spec::to_bytes(spec::normal_floats(rng, count));
  if (format == WeightFormat::kBf16) {
    std::vector<uint16_t> codes(count);
    const std::vector<float> values = spec::normal_floats(rng, count);
    for (size_t i = 0; i < count; ++i) codes[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(values[i]) >> 16);
    return spec::to_bytes(codes);
  }
  std::vector<uint8_t> codes(count);
  const uint32_t first = rng.below(256);
  for (size_t i = 0; i < count; ++i) {
    // The first codes run through all 256, the rest are random; 0x7f and 0xff are NaN and never stored.
    const uint32_t code = i < 256 ? (first + i) % 256 : rng.below(256);
    codes[i] = static_cast<uint8_t>((code & 0x7f) == 0x7f ? code - 1 : code);
  }
  return spec::to_bytes(codes);
}

// Rows of x, and NaN between them: nothing of what lies there may be read, not even times 0.
std::vector<float> spaced_activations(Rng& rng, uint32_t rows, const GemmParams& p) {
  std::vector<float> x = spec::activations(rng, rows, p.x_stride, p.x_kind);
  const uint32_t groups = p.group_rows == 0 ? 1 : (p.row_begin + p.rows - 1) / p.group_rows + 1;
  for (size_t i = 0; i < x.size(); ++i) {
    if (i % p.x_stride >= size_t{groups} * p.cols) x[i] = std::numeric_limits<float>::quiet_NaN();
  }
  return x;
}

// Leaves four columns of every 32, other ones in each row. gemm_matrix.kernel multiplies x in three parts, of which the
// last shows only in sums of so few products.
void make_sparse(std::vector<std::byte>& weights, WeightFormat format, uint32_t cols) {
  const size_t bytes = format_info(format).bits / 8;
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t row = i / bytes / cols;
    const size_t col = i / bytes % cols;
    if (col / 4 % 8 != row % 8) weights[i] = std::byte{0};
  }
}

template <WeightFormat kFormat>
CaseData make_case(const Shape& shape, Rng& rng) {
  const GemmParams& p = shape.params;
  const uint32_t rows = spec::row_count(shape.step, p.count_at, p.rows_per_token);
  CaseData data{.params = pack_params(p), .step = spec::step_words(shape.step)};
  data.bindings.push_back({.content = spec::to_bytes(spaced_activations(rng, rows, p))});
  data.bindings.push_back({.content = random_weights(rng, kFormat, size_t{p.rows} * p.cols)});
  if (shape.name.ends_with("sparse_rows")) make_sparse(data.bindings.back().content, kFormat, p.cols);
  if constexpr (has_scales(kFormat)) {
    std::vector<uint8_t> scales(scale_bytes(kFormat, shape.all_rows, p.cols));
    for (uint8_t& scale : scales) scale = static_cast<uint8_t>(118 + rng.below(12));
    if (shape.name.ends_with("scale_codes")) scales = {0, 1, 130, 200, 1, 0};
    scales.resize(bound_scale_bytes(kFormat, shape.all_rows, p.cols));
    data.bindings.push_back({.content = spec::to_bytes(scales)});
  }
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{rows} * p.y_stride))});
  data.bindings.emplace_back();
  return data;
}

// Together the numbers of tokens have every remainder by 8: invocations that compute 8 of them guard each by itself.
// cols are multiples of 16, which suits every weight format; 144, 272 and 80 leave partial 128-blocks.
template <WeightFormat kFormat>
std::vector<KernelCase> gemm_cases() {
  constexpr auto kFp8 = static_cast<uint32_t>(XKind::kFp8);
  constexpr auto kCoarse = static_cast<uint32_t>(XKind::kCoarse);
  const std::vector<Shape> shapes = {
      {"one_token", {.rows = 37, .cols = 144, .x_stride = 144, .y_stride = 37}, {.n_tokens = 1}, 37},
      {"one_token_long", {.rows = 11, .cols = 2064, .x_stride = 2068, .y_stride = 11}, {.n_tokens = 1}, 11},
      {"accumulate_into_a_slice",
       {.rows = 130, .cols = 272, .x_stride = 276, .y_stride = 139, .y_offset = 5, .accumulate = 1},
       {.n_tokens = 3, .position = 7},
       130},
      {"prefill", {.rows = 67, .cols = 512, .x_stride = 512, .y_stride = 67}, {.n_tokens = 17, .position = 3}, 67},
      {"below_every_tile", {.rows = 3, .cols = 16, .x_stride = 16, .y_stride = 3}, {.n_tokens = 4}, 3},
      {"piece_across_a_scale_block",
       {.rows = 21, .cols = 160, .x_stride = 160, .y_stride = 150, .y_offset = 124, .row_begin = 124},
       {.n_tokens = 5},
       150},
      {"groups_that_share_a_scale_block",
       {.rows = 128, .cols = 80, .x_stride = 240, .y_stride = 192, .y_offset = 32, .row_begin = 32, .group_rows = 64},
       {.n_tokens = 6},
       192},
      {"rows_of_logits",
       {.rows = 100, .cols = 64, .x_stride = 64, .y_stride = 102, .count_at = 2},
       {.n_tokens = 9, .position = 1, .n_logits = 2, .logits_first = 7},
       100},
      {"several_rows_per_token",
       {.rows = 93, .cols = 96, .x_stride = 100, .y_stride = 93, .rows_per_token = 3},
       {.n_tokens = 5},
       93},
      {"scale_codes", {.rows = 257, .cols = 256, .x_stride = 256, .y_stride = 257}, {.n_tokens = 8}, 257},
      {"fp8_activations",
       {.rows = 70, .cols = 656, .x_stride = 660, .y_stride = 70, .x_kind = kFp8},
       {.n_tokens = 1},
       70},
      {"fp8_activations_small_batch",
       {.rows = 133, .cols = 528, .x_stride = 528, .y_stride = 140, .y_offset = 3, .accumulate = 1, .x_kind = kFp8},
       {.n_tokens = 6},
       133},
      {"fp8_activations_prefill",
       {.rows = 139, .cols = 1168, .x_stride = 1168, .y_stride = 139, .x_kind = kFp8},
       {.n_tokens = 45, .position = 3},
       139},
      {"fp8_activations_scale_codes",
       {.rows = 257, .cols = 256, .x_stride = 256, .y_stride = 257, .x_kind = kFp8},
       {.n_tokens = 19},
       257},
      {"coarse_one_token",
       {.rows = 21,
        .cols = 160,
        .x_stride = 160,
        .y_stride = 150,
        .y_offset = 120,
        .row_begin = 120,
        .x_kind = kCoarse},
       {.n_tokens = 1},
       150},
      {"coarse_prefill",
       {.rows = 75, .cols = 784, .x_stride = 784, .y_stride = 75, .x_kind = kCoarse},
       {.n_tokens = 37},
       75},
      {"fp8_activations_many_tokens",
       {.rows = 101, .cols = 80, .x_stride = 84, .y_stride = 101, .x_kind = kFp8},
       {.n_tokens = 133},
       101},
      {"fp8_activations_many_rows",
       {.rows = 4099, .cols = 32, .x_stride = 32, .y_stride = 4099, .x_kind = kFp8},
       {.n_tokens = 17},
       4099},
      {"coarse_many_rows",
       {.rows = 4112, .cols = 16, .x_stride = 20, .y_stride = 4112, .x_kind = kCoarse},
       {.n_tokens = 3},
       4112},
      {"one_block_of_scale_code_0", {.rows = 5, .cols = 32, .x_stride = 32, .y_stride = 5}, {.n_tokens = 1}, 5},
      {"accumulate_sparse_rows",
       {.rows = 127, .cols = 32, .x_stride = 36, .y_stride = 131, .y_offset = 2, .accumulate = 1},
       {.n_tokens = 63},
       127},
  };
  std::vector<KernelCase> cases;
  for (const Shape& shape : shapes) {
    const auto make = [](const Shape& s, Rng& rng) {
      CaseData data = make_case<kFormat>(s, rng);
      if (has_scales(kFormat) && s.name == "one_block_of_scale_code_0")
        data.bindings[2].content.assign(4, std::byte{0});
      return data;
    };
    std::vector<spec::SizeOf<Shape>> sizes = {{"rows", [](Shape& s) -> uint32_t& { return s.params.rows; }},
                                              {"cols", [](Shape& s) -> uint32_t& { return s.params.cols; }, 32}};
    spec::add_tokens(sizes, shape.step);
    cases.push_back(spec::sized_case(std::string(shape.name), shape, make, sizes));
  }
  for (KernelCase& code_case : gemm_code_cases<kFormat>()) cases.push_back(std::move(code_case));
  return cases;
}

template <WeightFormat kFormat>
std::vector<Expected> gemm_reference(const CaseData& data) {
  const auto p = unpack_params<GemmParams>(data.params);
  const size_t y_at = has_scales(kFormat) ? 3 : 2;
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  const auto before = spec::from_bytes<float>(data.bindings[y_at].content);
  spec::StoredMatrix w{.format = kFormat, .codes = data.bindings[1].content, .cols = p.cols, .row_begin = p.row_begin};
  if (has_scales(kFormat)) w.scales = data.bindings[2].content;
  // Processors' dot products of bf16 take subnormal numbers for zero.
  const bool flushes = kFormat == WeightFormat::kBf16 && p.x_kind != static_cast<uint32_t>(XKind::kFloat);
  const uint32_t rows = data.step[p.count_at] * p.rows_per_token;
  Expected y{.binding = y_at};
  y.values.assign(before.size(), kUntouched);
  y.scales.assign(before.size(), 0.0);
  y.slack.assign(before.size(), 0.0);
  for (uint32_t t = 0; t < rows; ++t) {
    for (uint32_t r = 0; r < p.rows; ++r) {
      const uint32_t group = p.group_rows == 0 ? 0 : (p.row_begin + r) / p.group_rows;
      const size_t at = size_t{t} * p.y_stride + p.y_offset + r;
      const std::span row_of_x(x.data() + size_t{t} * p.x_stride + size_t{group} * p.cols, p.cols);
      spec::DotReference dot(row_of_x, p.x_kind, p.accumulate != 0 ? before[at] : 0.0);
      double flushed = 0;
      for (uint32_t c = 0; c < p.cols; ++c) {
        const double weight = w.at(r, c);
        dot.add(weight, c);
        if (flushes && std::fabs(weight) < 0x1p-126) flushed += std::fabs(weight * row_of_x[c]);
      }
      y.values[at] = dot.value();
      y.scales[at] = dot.magnitude();
      y.slack[at] = dot.slack() + flushed;
    }
  }
  return {y};
}

template <WeightFormat kFormat>
KernelSpec gemm_spec(std::string_view name, std::string_view formula) {
  KernelSpec spec{
      .name = name,
      .formula = formula,
      .bindings = {{"x", ElementType::kF32x4, Access::kRead, BindingKind::kBuffer, "[rows of x, x_stride]"},
                   {"w", ElementType::kU32x4, Access::kRead, BindingKind::kBuffer, "[rows, cols]"}},
      .params = {{"rows"},
                 {"cols"},
                 {"x_stride"},
                 {"y_stride"},
                 {"y_offset"},
                 {"row_begin"},
                 {"group_rows"},
                 {"accumulate"},
                 {"count_at"},
                 {"rows_per_token"},
                 {"x_kind"}},
      .grid = gemm_grid,
      .cases = gemm_cases<kFormat>,
      .reference = gemm_reference<kFormat>,
      .tolerance = {.eps = 4,
                    .absolute = 2064 * 0x1p-150,
                    .why = "f32 sums of at most 2064 products in several accumulators, against Σ|w·x|; products below "
                           "2^-126 lie on a grid of 2^-149"},
      .cost = gemm_cost<kFormat>};
  if (has_scales(kFormat)) {
    spec.bindings.push_back({"scale", ElementType::kU32, Access::kRead, BindingKind::kBuffer,
                             "bytes [ceil(all rows/128), ceil(cols/128)]"});
  }
  spec.bindings.push_back({"y", ElementType::kF32, Access::kReadWrite, BindingKind::kBuffer, "[rows of x, y_stride]"});
  spec.bindings.push_back({"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""});
  spec.variants.push_back({.name = "portable",
                           .text = "linear/gemm/gemm.kernel",
                           .workgroup = 64,
                           .constants = {{"ROWS", 4}, {"TOKENS", 4}, {"SERIAL", 0}},
                           .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * ROWS * TOKENS"}}});
  spec.variants.push_back({.name = "wide",
                           .text = "linear/gemm/gemm.kernel",
                           .workgroup = 8,
                           .constants = {{"ROWS", 4}, {"TOKENS", 4}, {"SERIAL", 1}},
                           .for_wide_cpu = true});
  for (Variant& variant : gpu_variants(kFormat)) spec.variants.push_back(std::move(variant));
  spec.variants.push_back(texels_variant<kFormat>("texels", 1));
  spec.variants.push_back(texels_variant<kFormat>("texels_tile", 4));
  spec.variants.push_back({.name = "vector",
                           .text = "linear/gemm/gemm_vector.kernel",
                           .workgroup = 1,
                           .constants = {{"ROWS", 4}, {"TOKENS", 1}, {"SERIAL", 1}},
                           .for_wide_cpu = true,
                           .dialect = Dialect::kOpenCl});
  spec.variants.push_back({.name = "panel",
                           .text = "linear/gemm/gemm_panel.kernel",
                           .workgroup = 1,
                           .constants = {{"ROWS", 16}, {"TOKENS", 64}, {"PANEL", 256}, {"SERIAL", 1}},
                           .shared = {{.name = "panel", .type = ElementType::kF32, .count = "PANEL * 16"}},
                           .for_wide_cpu = true,
                           .min_rows = 2,
                           .dialect = Dialect::kOpenCl});
  use_format(spec, kFormat);
  return spec;
}

}  // namespace

const KernelSpec& kernels::gemm_fp8_f32() {
  static const KernelSpec spec =
      gemm_spec<WeightFormat::kFp8>("gemm_fp8_f32",
                                    "y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c]; W [rows, cols] e4m3, scale "
                                    "e8m0 [ceil(·/128), ceil(cols/128)]");
  return spec;
}

const KernelSpec& kernels::gemm_bf16_f32() {
  static const KernelSpec spec = gemm_spec<WeightFormat::kBf16>(
      "gemm_bf16_f32", "y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c]; W [rows, cols] bf16");
  return spec;
}

const KernelSpec& kernels::gemm_f32_f32() {
  static const KernelSpec spec = gemm_spec<WeightFormat::kF32>(
      "gemm_f32_f32", "y[t, y_offset + r] (+)= Σ_c W[r,c]·x[t, g·cols + c]; W [rows, cols] f32");
  return spec;
}

}  // namespace nibble
