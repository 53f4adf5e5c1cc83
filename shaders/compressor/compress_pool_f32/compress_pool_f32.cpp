#include "shaders/compressor/compress_pool_f32/compress_pool_f32.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

using Params = CompressPoolParams;
using Sized = spec::ParamsAndStep<Params>;

uint32_t entry_count(const Params& p, const StepHeader& step) { return GridDim::entries(p.ratio).evaluate(step); }
size_t half_row(const Params& p) { return p.overlap != 0 ? 2 * size_t{p.width} : p.width; }

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<Params>(params);
  return {.x = GridDim::entries(p.ratio), .y = GridDim::constant(spec::ceil_div(p.width, variant.workgroup)), .z = {}};
}

CaseData make_case(Rng& rng, const Params& p, const StepHeader& step) {
  const size_t cw = half_row(p);
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, step.n_tokens * 2 * cw, 3))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, p.ratio * cw))});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, p.slots * 2 * cw, 3))});
  data.bindings.push_back(spec::blank(std::max(entry_count(p, step), 1u) * size_t{p.width}));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"width", [](Sized& s) -> uint32_t& { return s.params.width; }}});
  };
  return {
      add("overlap_from_the_start", {.width = 67, .ratio = 4, .overlap = 1, .slots = 8}, {.n_tokens = 14}),
      add("overlap_decode_completes", {.width = 512, .ratio = 4, .overlap = 1, .slots = 8},
          {.n_tokens = 1, .position = 11}),
      add("overlap_chunk_in_the_middle", {.width = 192, .ratio = 4, .overlap = 1, .slots = 8},
          {.n_tokens = 9, .position = 6}),
      add("ratio_128_decode_completes", {.width = 96, .ratio = 128, .slots = 128}, {.n_tokens = 1, .position = 255}),
      add("ratio_32_chunk", {.width = 130, .ratio = 32, .slots = 37}, {.n_tokens = 71, .position = 50}),
      add("nothing_complete", {.width = 64, .ratio = 32, .slots = 32}, {.n_tokens = 5, .position = 3}),
  };
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const size_t cw = half_row(p);
  const auto az = spec::from_bytes<float>(data.bindings[0].content);
  const auto ape = spec::from_bytes<float>(data.bindings[1].content);
  const auto state = spec::from_bytes<float>(data.bindings[2].content);
  // Element `column` of row `at`'s a (z with `half` = cw).
  const auto value = [&](size_t at, size_t half, size_t column) {
    const size_t index = half + column;
    return double{at >= step.position ? az[(at - step.position) * 2 * cw + index]
                                      : state[at % p.slots * 2 * cw + index]};
  };
  Expected y{.binding = 3};
  for (size_t e = 0; e < entry_count(p, step); ++e) {
    const size_t entry = step.position / p.ratio + e;
    for (size_t c = 0; c < p.width; ++c) {
      double total = 0;
      double sum = 0;
      double magnitude = 0;
      const auto add = [&](size_t window, size_t column) {
        for (size_t i = 0; i < p.ratio; ++i) {
          const size_t at = window * p.ratio + i;
          const double weight = std::exp(value(at, cw, column) + double{ape[i * cw + column]});
          total += weight;
          sum += weight * value(at, 0, column);
          magnitude += weight * std::fabs(value(at, 0, column));
        }
      };
      if (p.overlap != 0 && entry > 0) add(entry - 1, c);
      add(entry, p.overlap != 0 ? p.width + c : c);
      y.values.push_back(sum / total);
      y.scales.push_back(magnitude / total);
    }
  }
  if (y.values.empty()) y.values.assign(p.width, kUntouched);  // nothing may be written
  return {y};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t rows = uint64_t{entry_count(p, step)} * p.ratio * (p.overlap != 0 ? 2 : 1);
  return {.bytes = rows * p.width * 12, .flops = rows * p.width * 8};
}

}  // namespace

const KernelSpec& kernels::compress_pool_f32() {
  static const KernelSpec spec = {
      .name = "compress_pool_f32",
      .formula = "y[e,c] = sum_i softmax_i(z_i[c] + ape_i[c])·a_i[c] over the rows of a window; az [tokens, 2·cw]",
      .bindings = {{.name = "az", .shape = "[tokens, 2·cw]"},
                   {.name = "ape", .shape = "[ratio, cw]"},
                   {.name = "state", .shape = "[slots, 2·cw]"},
                   {.name = "y", .access = Access::kWrite, .shape = "[entries, width]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"width"}, {"ratio"}, {"overlap"}, {"slots"}},
      .variants = {{.name = "portable",
                    .text = "compressor/compress_pool_f32/compress_pool_f32.kernel",
                    .workgroup = 64,
                    .constants = {},
                    .shared = {},
                    .requires_ = {}}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 128,
                    .why = "up to 128 additions one after the other and as many rescalings; exp of an argument down to "
                           "-20 has 3 ulp + 2 per unit, relative to the sum of magnitudes"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
