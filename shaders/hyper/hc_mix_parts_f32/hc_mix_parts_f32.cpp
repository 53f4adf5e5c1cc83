#include "shaders/hyper/hc_mix_parts_f32/hc_mix_parts_f32.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

using Params = HcMixPartsParams;
using Sized = spec::ParamsAndStep<Params>;

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::tokens(), .y = GridDim::constant(p.parts), .z = GridDim::constant(p.rows / 8 + 1)};
}

CaseData make_case(Rng& rng, const Params& p, uint32_t tokens) {
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = tokens, .position = 3})};
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{tokens} * p.width, 2))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{p.rows} * p.width, 0.01))});
  data.bindings.push_back(spec::blank(size_t{tokens} * p.parts * (p.rows + 1)));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, uint32_t tokens) {
    const auto make = [](Rng& rng, const Params& params, const StepHeader& step) {
      return make_case(rng, params, step.n_tokens);
    };
    return spec::sized_case(std::move(name), p, StepHeader{.n_tokens = tokens}, make,
                            {{"width", [](Sized& s) -> uint32_t& { return s.params.width; }},
                             {"rows", [](Sized& s) -> uint32_t& { return s.params.rows; }},
                             {"parts", [](Sized& s) -> uint32_t& { return s.params.parts; }}});
  };
  return {
      add("released_shape", {.width = 16384, .rows = 24, .parts = 32}, 2),
      add("empty_last_parts", {.width = 9, .rows = 8, .parts = 7}, 3),
      add("short_last_part", {.width = 1003, .rows = 15, .parts = 4}, 5),
      add("one_part", {.width = 777, .rows = 7, .parts = 1}, 1),
      add("8_copies", {.width = 1040, .rows = 80, .parts = 12}, 1),
      // The squares are one of eight sums: each of them once, over more columns than there are invocations.
      add("squares_second", {.width = 331, .rows = 1, .parts = 2}, 2),
      add("squares_third", {.width = 467, .rows = 10, .parts = 3}, 2),
      add("squares_fourth", {.width = 329, .rows = 3, .parts = 2}, 3),
      add("squares_fifth", {.width = 700, .rows = 4, .parts = 5}, 1),
      add("squares_sixth", {.width = 290, .rows = 13, .parts = 2}, 1),
      add("squares_seventh", {.width = 575, .rows = 6, .parts = 4}, 2),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  const auto fn = spec::from_bytes<float>(data.bindings[1].content);
  const size_t length = spec::ceil_div(p.width, p.parts);
  Expected sums{.binding = 2};
  for (size_t row = 0; row < x.size(); row += p.width) {
    for (size_t part = 0; part < p.parts; ++part) {
      const size_t begin = std::min<size_t>(part * length, p.width);
      const size_t end = std::min<size_t>(begin + length, p.width);
      for (size_t m = 0; m <= p.rows; ++m) {
        const float* factors = m < p.rows ? fn.data() + m * p.width : x.data() + row;
        double sum = 0;
        double magnitude = 0;
        for (size_t c = begin; c < end; ++c) {
          const double product = double{x[row + c]} * factors[c];
          sum += product;
          magnitude += std::fabs(product);
        }
        sums.values.push_back(sum);
        sums.scales.push_back(magnitude);
      }
    }
  }
  return {sums};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t sums = uint64_t{p.parts} * (p.rows + 1);
  return {.bytes = 4 * (uint64_t{p.rows} * p.width + step.n_tokens * (p.width + sums)),
          .flops = step.n_tokens * uint64_t{p.width} * 2 * (p.rows + 1)};
}

}  // namespace

const KernelSpec& kernels::hc_mix_parts_f32() {
  static const KernelSpec spec = {
      .name = "hc_mix_parts_f32",
      .formula = "part_sums[t,i,m] = sum_c X[t,c]·fn[m,c], m < rows, and sum_c X[t,c]², m = rows, c over part i",
      .bindings = {{.name = "streams", .shape = "[tokens, width]"},
                   {.name = "fn", .shape = "[rows, width]"},
                   {.name = "part_sums", .access = Access::kWrite, .shape = "[tokens, parts, rows + 1]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"width"}, {"rows"}, {"parts"}},
      .variants = {{.name = "portable",
                    .text = "hyper/hc_mix_parts_f32/hc_mix_parts_f32.kernel",
                    .workgroup = 128,
                    .constants = {},
                    .shared = {{"partial", ElementType::kF32, "8 * WG"}},
                    .requires_ = {}}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 16, .why = "f32 sums of up to 16384 products against the sum of magnitudes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
