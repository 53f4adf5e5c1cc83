#include "shaders/common/spec_util.h"
#include "shaders/experts/moe/moe.h"
#include "shaders/experts/moe/moe_spec.h"

namespace nibble {

namespace {

// The variant and, behind it, the same with sums by subgroup operations.
std::vector<Variant> with_subgroups(Variant plain, std::string_view name, std::string_view partials) {
  Variant subgroups = plain;
  subgroups.name = name;
  subgroups.constants.push_back({"SUBGROUPS", 1});
  subgroups.shared.front().count = partials;
  subgroups.requires_ = {Capability::kSubgroups};
  subgroups.dialect = Dialect::kGlsl;
  return {std::move(plain), std::move(subgroups)};
}

}  // namespace

std::vector<Variant> moe_gemv_variants(bool up) {
  const uint32_t rows = up ? 2 : 4;  // four rows of matrices either way
  return with_subgroups({.name = "gemv",
                         .text = "experts/moe/moe_gemv.kernel",
                         .workgroup = 64,
                         .constants = {{"ROWS", rows}, {"SERIAL", 0}},
                         .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * 4"}}},
                        "gemv_subgroups", "WG / 2 * 4");
}

std::vector<Variant> moe_tiles_gemv_variants(bool up) {
  const uint32_t rows = up ? 1 : 2;  // two rows of matrices either way
  return with_subgroups({.name = "gemv4",
                         .text = "experts/moe/moe_tiles_gemv.kernel",
                         .workgroup = 64,
                         .constants = {{"ROWS", rows}, {"PAIRS", 4}, {"SERIAL", 0}},
                         .shared = {{.name = "partial", .type = ElementType::kF32, .count = "WG * 8"}},
                         .min_rows = kMoeTiledFrom,
                         .requires_rows = kMoeTiledFrom},
                        "gemv4_subgroups", "WG / 2 * 8");
}

std::vector<Variant> moe_tile_variants(bool up) {
  const auto tile = [&](std::string_view name, uint32_t pairs, uint32_t min_rows) {
    return Variant{.name = name,
                   .text = "experts/moe/moe_tile.kernel",
                   .workgroup = 128,
                   .constants = {{"ROWS", up ? 64u : 128u}, {"PAIRS", pairs}, {"SERIAL", 0}},
                   .shared = {{.name = "w_tile", .type = ElementType::kF32, .count = "16 * 128"},
                              {.name = "x_tile", .type = ElementType::kF32, .count = "16 * PAIRS"},
                              {.name = "members", .type = ElementType::kU32, .count = "PAIRS"}},
                   .min_rows = min_rows,
                   .requires_rows = kMoeTiledFrom};
  };
  return {tile("tile32", 32, 128), tile("tile64", 64, 1024)};
}

Variant moe_int8_variant(bool up, bool (*serves)(std::span<const std::byte> params)) {
  return {.name = "tile32_int8",
          .text = "experts/moe/moe_tile_int8.kernel",
          .workgroup = 128,
          .constants = {{"ROWS", up ? 64u : 128u}, {"PAIRS", 32}, {"SERIAL", 0}},
          .shared = {{.name = "w_tile", .type = ElementType::kU32x4, .count = "2 * 128"},
                     {.name = "w_scale", .type = ElementType::kF32, .count = "128"},
                     {.name = "x_tile", .type = ElementType::kU32x4, .count = "2 * PAIRS"},
                     {.name = "x_scale", .type = ElementType::kF32, .count = "PAIRS"},
                     {.name = "members", .type = ElementType::kU32, .count = "PAIRS"}},
          .requires_ = {Capability::kInt8Dot},
          .min_rows = 128,
          .requires_rows = kMoeTiledFrom,
          .serves = serves,
          .dialect = Dialect::kGlsl};
}

std::vector<Variant> moe_matrix_variants(bool up, bool (*serves)(std::span<const std::byte> params)) {
  const auto matrix = [&](std::string_view name, uint32_t pairs, uint32_t min_rows) {
    return Variant{.name = name,
                   .text = "experts/moe/moe_matrix.kernel",
                   .workgroup = 128,
                   .constants = {{"ROWS", up ? 64u : 128u}, {"PAIRS", pairs}, {"SERIAL", 0}},
                   .shared = {{.name = "w_tile", .type = ElementType::kU32x4, .count = "5 * WG"},
                              {.name = "x_tile", .type = ElementType::kU32x4, .count = "5 * PAIRS"},
                              {.name = "out_tile", .type = ElementType::kF32, .count = "16 * WG"},
                              {.name = "members", .type = ElementType::kU32, .count = "PAIRS"}},
                   .requires_ = {Capability::kMatrixUnits},
                   .min_rows = min_rows,
                   .requires_rows = kMoeTiledFrom,
                   .serves = serves,
                   .dialect = Dialect::kGlsl};
  };
  return {spec::emulated_matrices("matrix32_emulated", matrix("matrix32", 32, kMoeTiledFrom)),
          matrix("matrix32", 32, kMoeTiledFrom), matrix("matrix64", 64, 1024)};
}

Grid moe_tiles_grid(const Variant& variant, uint32_t rows, uint32_t k, uint32_t experts) {
  return {.x = GridDim::constant(spec::ceil_div(rows, spec::constant_of(variant, "ROWS"))),
          .y = GridDim::sorted_tiles(k, kMoeTilePairs, experts),
          .z = GridDim::constant(kMoeTilePairs / spec::constant_of(variant, "PAIRS"))};
}

void use_experts(KernelSpec& spec, WeightFormat format, bool up) {
  use_format(spec, format);
  for (Variant& variant : spec.variants) {
    variant.constants.push_back({"UP", up ? 1u : 0u});
    variant.uses.emplace_back("experts/moe/experts.kernel");
  }
}

}  // namespace nibble
