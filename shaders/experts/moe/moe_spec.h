// What the specs of this family share.
#pragma once

#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/core/x_kind.h"
#include "shaders/formats/weight_format.h"

namespace nibble {

// Gives every variant of the spec the texts that it shares with the others of this family. `up`: of moe_up.
void use_experts(KernelSpec& spec, WeightFormat format, bool up);

// For GPUs, unmeasured: for few tokens; by the tiles of `tiles` with few pairs per expert; the same with many, from
// 128 tokens on. `up` is of moe_up, else of moe_down (the first) or moe_pairs.
std::vector<Variant> moe_gemv_variants(bool up);
std::vector<Variant> moe_tiles_gemv_variants(bool up);
std::vector<Variant> moe_tile_variants(bool up);
// The last of these for e2m1 weights, activations that may be rounded to int8, and integer dot products.
Variant moe_int8_variant(bool up, bool (*serves)(std::span<const std::byte> params));
template <typename Params>
bool has_coarse_x(std::span<const std::byte> params) {
  return unpack_params<Params>(params).x_kind == static_cast<uint32_t>(XKind::kCoarse);
}
// By matrix units, for x of a kind that is bf16 or may be rounded to it.
std::vector<Variant> moe_matrix_variants(bool up, bool (*serves)(std::span<const std::byte> params));
inline bool is_for_tiles(const Variant& variant) { return variant.min_rows > 0 && !variant.for_wide_cpu; }
// The grid of those that go by tiles for matrices of `rows` rows.
Grid moe_tiles_grid(const Variant& variant, uint32_t rows, uint32_t k, uint32_t experts);

}  // namespace nibble
