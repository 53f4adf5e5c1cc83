// Matrix units.
#include <bit>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr uint32_t kProducts = 7;
constexpr uint32_t kSize = 16;

Grid a_workgroup_each(std::span<const std::byte> params, const Variant&) {
  return {.x = GridDim::constant(unpack_params<ElementParams>(params).n)};
}

// Integers of up to seven bits times one power of two per product, so that every sum is exact in f32.
std::vector<uint16_t> matrices(Rng& rng) {
  std::vector<uint16_t> codes;
  for (uint32_t i = 0; i < kProducts; ++i) {
    const auto unit = static_cast<float>(1u << i);
    for (uint32_t e = 0; e < kSize * kSize; ++e) {
      const float value = (static_cast<float>(rng.below(255)) - 127.0f) / unit;
      codes.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
    }
  }
  return codes;
}

std::vector<KernelCase> cases() {
  return {{"integers", [](Rng& rng) {
             CaseData data{.params = pack_params(ElementParams{kProducts})};
             data.bindings.push_back({.content = spec::to_bytes(matrices(rng))});
             data.bindings.push_back({.content = spec::to_bytes(matrices(rng))});
             data.bindings.push_back(spec::blank(size_t{kProducts} * kSize * kSize));
             return data;
           }}};
}

std::vector<Expected> reference(const CaseData& data) {
  const auto a = spec::from_bytes<uint16_t>(data.bindings[0].content);
  const auto b = spec::from_bytes<uint16_t>(data.bindings[1].content);
  Expected y{.binding = 2};
  for (size_t i = 0; i < kProducts; ++i) {
    for (size_t n = 0; n < kSize; ++n) {
      for (size_t m = 0; m < kSize; ++m) {
        double sum = 0;
        for (size_t k = 0; k < kSize; ++k) {
          sum += spec::bf16(a[(i * kSize + m) * kSize + k]) * spec::bf16(b[(i * kSize + n) * kSize + k]);
        }
        y.words.push_back(std::bit_cast<uint32_t>(static_cast<float>(2 * sum + 0.0)));
      }
    }
  }
  return {y};
}

}  // namespace

std::vector<Probe> matrix_probes() {
  const Variant units = {.name = "matrix",
                         .text = conformance_text("probes/matrix_product.kernel"),
                         .workgroup = 32,
                         .shared = {{.name = "w_tile", .type = ElementType::kU32x4, .count = "48"},
                                    {.name = "x_tile", .type = ElementType::kU32x4, .count = "48"},
                                    {.name = "out_tile", .type = ElementType::kF32, .count = "256"}},
                         .requires_ = {Capability::kMatrixUnits},
                         .dialect = Dialect::kGlsl};
  const KernelSpec spec = {
      .name = "probe_matrix_product",
      .formula = "y[i, n, m] = 2·Σ_k a[i, m, k]·b[i, n, k]",
      .bindings = {input("a", ElementType::kU32x4), input("b", ElementType::kU32x4), output("y", ElementType::kF32)},
      .params = {{"n"}},
      .variants = {units, spec::emulated_matrices("emulated", units)},
      .grid = a_workgroup_each,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "integers"},
      .cost = no_cost};
  return {{.spec = spec,
           .fact = "a subgroup's product of 16x16 bf16 matrices is exact, lies as it was asked to, and adds to a sum",
           .symptom = "prompts are misread while single tokens are not: only steps of many tokens use matrix units",
           .relied_on_by = {"*matrix*"}}};
}

}  // namespace nibble::conformance
