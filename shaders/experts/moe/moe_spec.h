// The specs that the kernels of this family share.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/core/x_kind.h"

namespace nibble {

template <bool kFp4>
KernelSpec moe_up_spec(std::string_view name);
template <bool kFp4>
KernelSpec moe_down_spec(std::string_view name);
template <bool kFp4>
KernelSpec moe_pairs_spec(std::string_view name);

extern template KernelSpec moe_up_spec<true>(std::string_view);
extern template KernelSpec moe_up_spec<false>(std::string_view);
extern template KernelSpec moe_down_spec<true>(std::string_view);
extern template KernelSpec moe_down_spec<false>(std::string_view);
extern template KernelSpec moe_pairs_spec<true>(std::string_view);
extern template KernelSpec moe_pairs_spec<false>(std::string_view);

// For GPUs, unmeasured: for few tokens; by the tiles of `tiles` with few pairs per expert; the same with many, from
// 128 tokens on. `up` is of moe_up, else of moe_down (the first) or moe_pairs.
std::vector<Variant> moe_gemv_variants(bool fp4, bool up);
std::vector<Variant> moe_tiles_gemv_variants(bool fp4, bool up);
std::vector<Variant> moe_tile_variants(bool fp4, bool up);
// The last of these for e2m1 weights, activations that may be rounded to int8, and integer dot products.
Variant moe_int8_variant(bool up, bool (*serves)(std::span<const std::byte> params));
template <typename Params>
bool has_coarse_x(std::span<const std::byte> params) {
  return unpack_params<Params>(params).x_kind == static_cast<uint32_t>(XKind::kCoarse);
}
// By matrix units, for x of a kind that is bf16 or may be rounded to it.
std::vector<Variant> moe_matrix_variants(bool fp4, bool up, bool (*serves)(std::span<const std::byte> params));
inline bool is_for_tiles(const Variant& variant) { return variant.min_rows > 0 && !variant.for_wide_cpu; }
// The grid of those that go by tiles for matrices of `rows` rows.
Grid moe_tiles_grid(const Variant& variant, uint32_t rows, uint32_t k, uint32_t experts);

}  // namespace nibble
