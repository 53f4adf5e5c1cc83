#include "tests/device/test_kernels.h"

namespace nibble::test_kernels {
namespace {

constexpr std::string_view kAffineText = R"(uint i = WORKGROUP_X * WG + LOCAL;
  if (i < p.count) {
    y[i] = p.factor * x[i] + p.add;
  })";

// The same by way of workgroup memory: each invocation finishes another one's element.
constexpr std::string_view kAffineNarrowText = R"(uint i = WORKGROUP_X * WG + LOCAL;
  tile[LOCAL] = i < p.count ? p.factor * x[i] : 0u;
  BARRIER();
  uint other = WG - 1u - LOCAL;
  uint j = WORKGROUP_X * WG + other;
  if (j < p.count) {
    y[j] = tile[other] + p.add;
  })";

constexpr std::string_view kAccumulateText = R"(uint i = WORKGROUP_X * WG + LOCAL;
  if (i < p.count) {
    y[i] += x[i];
  })";

constexpr std::string_view kStepRowsText = R"(uint t = WORKGROUP_X;
  if (LOCAL < p.cols) {
    y[t * p.cols + LOCAL] = step[STEP_POSITION] + p.cols * t + LOCAL + step[p.word];
  })";

constexpr std::string_view kGatherText = R"(uint row = WORKGROUP_X;
  uint item = IDS_LOAD(row);
  for (uint i = LOCAL; i < p.cols; i += WG) {
    y[row * p.cols + i] = TABLE_AT(item, p.cols, i);
  })";

// One invocation per element; `count` is the first param.
Grid elements_grid(std::span<const std::byte> params, const Variant& variant) {
  uint32_t count = 0;
  std::memcpy(&count, params.data(), sizeof count);
  return {GridDim::constant((count + variant.workgroup - 1) / variant.workgroup), GridDim::constant(1),
          GridDim::constant(1)};
}

Grid tokens_grid(std::span<const std::byte>, const Variant&) {
  return {GridDim::tokens(), GridDim::constant(1), GridDim::constant(1)};
}

Grid rows_grid(std::span<const std::byte> params, const Variant&) {
  return {GridDim::constant(unpack_params<GatherParams>(params).rows), GridDim::constant(1), GridDim::constant(1)};
}

}  // namespace

const KernelSpec& affine() {
  static const KernelSpec spec = {.name = "test_affine_u32",
                                  .formula = "y[i] = factor * x[i] + add",
                                  .bindings = {{.name = "x", .type = ElementType::kU32, .access = Access::kRead},
                                               {.name = "y", .type = ElementType::kU32, .access = Access::kWrite}},
                                  .params = {{"count"}, {"factor"}, {"add"}},
                                  .variants = {{.name = "portable", .text = kAffineText},
                                               {.name = "narrow",
                                                .text = kAffineNarrowText,
                                                .workgroup = 8,
                                                .shared = {{.name = "tile", .type = ElementType::kU32, .count = "WG"}},
                                                .for_wide_cpu = true}},
                                  .grid = elements_grid};
  return spec;
}

const KernelSpec& accumulate() {
  static const KernelSpec spec = {.name = "test_accumulate_u32",
                                  .formula = "y[i] += x[i]",
                                  .bindings = {{.name = "x", .type = ElementType::kU32, .access = Access::kRead},
                                               {.name = "y", .type = ElementType::kU32, .access = Access::kReadWrite}},
                                  .params = {{"count"}},
                                  .variants = {{.name = "portable", .text = kAccumulateText}},
                                  .grid = elements_grid};
  return spec;
}

const KernelSpec& step_rows() {
  static const KernelSpec spec = {
      .name = "test_step_rows_u32",
      .formula = "y[t, i] = position + cols * t + i + step[word]",
      .bindings = {{.name = "y", .type = ElementType::kU32, .access = Access::kReadWrite},
                   {.name = "step", .type = ElementType::kU32, .access = Access::kRead, .kind = BindingKind::kStep}},
      .params = {{"cols"}, {"word"}},
      .variants = {{.name = "portable", .text = kStepRowsText}},
      .grid = tokens_grid};
  return spec;
}

const KernelSpec& gather() {
  static const KernelSpec spec = {
      .name = "test_gather_u32",
      .formula = "y[k, i] = table[ids[k], i]",
      .bindings = {{.name = "table", .type = ElementType::kU32, .access = Access::kRead, .kind = BindingKind::kSlabs},
                   {.name = "ids", .type = ElementType::kU32, .access = Access::kRead},
                   {.name = "y", .type = ElementType::kU32, .access = Access::kWrite}},
      .params = {{"rows"}, {"cols"}},
      .variants = {{.name = "portable", .text = kGatherText},
                   {.name = "texels",
                    .text = kGatherText,
                    .requires_ = {Capability::kTexelBuffers},
                    .texels = {"table", "ids"}}},
      .grid = rows_grid};
  return spec;
}

}  // namespace nibble::test_kernels
