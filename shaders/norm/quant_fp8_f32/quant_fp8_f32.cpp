#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<QuantParams>(params);
  const uint32_t blocks = spec::ceil_div(p.cols, p.block);
  const uint32_t lanes = spec::constant_of(variant, "SERIAL") != 0 ? variant.workgroup : 1;
  return {.x = GridDim::constant(spec::ceil_div(blocks, lanes)), .y = spec::rows_dim(p.count_at, p.rows_per_token, 1)};
}

// Rows with what rounding finds hard: zeros, huge and tiny values, ties between codes, maxima at 448·2^k.
std::vector<float> hard_values(Rng& rng, uint32_t rows, uint32_t cols) {
  std::vector<float> x = spec::normal_floats(rng, size_t{rows} * cols);
  for (uint32_t r = 0; r < rows; ++r) {
    const uint32_t kind = (r + rng.below(2)) % 7;
    for (uint32_t c = 0; c < cols; ++c) {
      float& value = x[size_t{r} * cols + c];
      if (kind == 0) value = c % 2 == 0 ? 0.0f : -0.0f;
      if (kind == 1) value *= 0x1p100f;
      if (kind == 2) value *= 1e-6f;
      // Halves of the last place at scale 1: c/2 is exact, and a tie where c is odd and the step is 1 or more.
      if (kind == 3) value = static_cast<float>(c % 64) * 0.5f * (c % 3 == 0 ? -1.0f : 1.0f);
      if (kind == 4) value = c % 16 == 0 ? 448.0f * 0x1p-3f : value;
      if (kind == 5) value = static_cast<float>(c % 31 + 1) * 0x1p-10f + (c % 128 == 127 ? 448.0f : 0.0f);
    }
  }
  return x;
}

std::vector<KernelCase> cases() {
  struct Shape {
    std::string name;
    QuantParams params;
    StepHeader step;
  };
  const std::vector<Shape> shapes = {
      {"one_token", {.cols = 256, .block = 128}, {.n_tokens = 1}},
      {"short_last_block", {.cols = 176, .block = 64}, {.n_tokens = 17, .position = 5}},
      {"below_one_block", {.cols = 37, .block = 128}, {.n_tokens = 3}},
      {"many_blocks", {.cols = 1424, .block = 128}, {.n_tokens = 7}},
      {"rows_of_logits", {.cols = 272, .block = 128, .count_at = 2}, {.n_tokens = 5, .n_logits = 2, .logits_first = 3}},
      {"several_rows_per_token", {.cols = 96, .block = 64, .rows_per_token = 3}, {.n_tokens = 4}},
  };
  std::vector<KernelCase> result;
  for (const Shape& shape : shapes) {
    const auto make = [](const Shape& s, Rng& rng) {
      const QuantParams& p = s.params;
      const uint32_t rows = spec::row_count(s.step, p.count_at, p.rows_per_token);
      CaseData data{.params = pack_params(p), .step = spec::step_words(s.step)};
      data.bindings.push_back({.content = spec::to_bytes(hard_values(rng, rows, p.cols))});
      data.bindings.push_back(spec::blank(size_t{rows} * p.cols));
      data.bindings.emplace_back();
      return data;
    };
    std::vector<spec::SizeOf<Shape>> sizes = {
        {"cols", [](Shape& s) -> uint32_t& { return s.params.cols; }},
        {"rows_per_token", [](Shape& s) -> uint32_t& { return s.params.rows_per_token; }}};
    spec::add_tokens(sizes, shape.step);
    result.push_back(spec::sized_case(shape.name, shape, make, sizes));
  }
  return result;
}

// The e4m3 value nearest to `x`, ties to the even code, by looking at all of them.
double nearest_e4m3(double x) {
  uint8_t best = 0;
  for (uint8_t code = 1; code < 0x7f; ++code) {
    const double gain = std::fabs(std::fabs(x) - spec::e4m3(best)) - std::fabs(std::fabs(x) - spec::e4m3(code));
    if (gain > 0 || (gain == 0 && code % 2 == 0)) best = code;
  }
  return std::copysign(spec::e4m3(best), x);
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<QuantParams>(data.params);
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  Expected y{.binding = 1};
  y.values.resize(x.size());
  for (size_t row = 0; row < x.size(); row += p.cols) {
    for (uint32_t begin = 0; begin < p.cols; begin += p.block) {
      const uint32_t end = std::min(p.cols, begin + p.block);
      float amax = 1e-4f;
      bool is_odd = false;
      for (uint32_t c = begin; c < end; ++c) {
        amax = std::max(amax, std::fabs(x[row + c]));
        is_odd = is_odd || !std::isfinite(x[row + c]);
      }
      const float product = amax * (1.0f / 448.0f);
      int exponent = 0;
      const double mantissa = std::frexp(double{product}, &exponent);  // product = mantissa·2^exponent, in [0.5, 1)
      const double scale = std::ldexp(1.0, mantissa == 0.5 ? exponent - 1 : exponent);
      for (uint32_t c = begin; c < end; ++c) {
        // The scale of a block with NaN or an infinity is NaN.
        y.values[row + c] = is_odd ? std::nan("") : nearest_e4m3(x[row + c] / scale) * scale;
      }
    }
  }
  return {y};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<QuantParams>(params);
  const uint64_t elements = uint64_t{spec::row_count(step, p.count_at, p.rows_per_token)} * p.cols;
  return {.bytes = elements * 8, .flops = elements * 4};
}

}  // namespace

const KernelSpec& kernels::quant_fp8_f32() {
  static const KernelSpec spec{
      .name = "quant_fp8_f32",
      .formula = "y[r,c] = e4m3(x[r,c]/s)·s per block of a row, s = 2^ceil(log2(max(amax, 1e-4)·f32(1/448)))",
      .bindings = {{"x", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[rows, cols]"},
                   {"y", ElementType::kF32, Access::kWrite, BindingKind::kBuffer, "[rows, cols]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"cols"}, {"block"}, {"count_at"}, {"rows_per_token"}},
      .variants = {{.name = "portable",
                    .text = "norm/quant_fp8_f32/quant_fp8_f32.kernel",
                    .workgroup = 64,
                    .constants = {{"SERIAL", 0}},
                    .shared = {{.name = "largest", .type = ElementType::kU32, .count = "WG"}}},
                   {.name = "wide",
                    .text = "norm/quant_fp8_f32/quant_fp8_f32.kernel",
                    .workgroup = 8,
                    .constants = {{"SERIAL", 1}},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "exact: scales are powers of two and codes are rounded by integer arithmetic"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
