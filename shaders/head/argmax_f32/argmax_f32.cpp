#include "shaders/head/argmax_f32/argmax_f32.h"

#include <limits>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte>, const Variant&) { return {.x = GridDim::logits()}; }

// `change` edits the random logits.
KernelCase make_case(std::string name, uint32_t cols, uint32_t rows, void (*change)(std::vector<float>&, Rng&)) {
  return {std::move(name), [=](Rng& rng) {
            CaseData data{.params = pack_params(ArgmaxParams{.cols = cols}),
                          .step = spec::step_words({.n_tokens = rows + 2, .n_logits = rows, .logits_first = 2})};
            std::vector<float> logits = spec::normal_floats(rng, size_t{rows} * cols, 3);
            change(logits, rng);
            data.bindings.push_back({.content = spec::to_bytes(logits)});
            data.bindings.push_back(spec::blank(rows));
            data.bindings.emplace_back();
            return data;
          }};
}

std::vector<KernelCase> cases() {
  const auto nothing = [](std::vector<float>&, Rng&) {};
  const auto few_values = [](std::vector<float>& logits, Rng& rng) {
    for (float& value : logits) value = rng.below(2) == 0 ? -0.0f : (rng.below(2) == 0 ? 0.0f : -1.0f);
  };
  const auto infinities = [](std::vector<float>& logits, Rng&) {
    for (float& value : logits) value = -std::numeric_limits<float>::infinity();
  };
  return {make_case("one_row", 1009, 1, nothing), make_case("below_a_workgroup", 3, 3, nothing),
          make_case("many_rows", 129, 17, nothing), make_case("ties_and_signed_zeros", 611, 5, few_values),
          make_case("all_minus_infinity", 70, 2, infinities)};
}

std::vector<Expected> reference(const CaseData& data) {
  const uint32_t cols = unpack_params<ArgmaxParams>(data.params).cols;
  const auto logits = spec::from_bytes<float>(data.bindings[0].content);
  Expected ids{.binding = 1};
  for (size_t row = 0; row < logits.size(); row += cols) {
    uint32_t best = 0;  // also of a row without anything above -Inf
    double largest = -std::numeric_limits<double>::infinity();
    for (uint32_t c = 0; c < cols; ++c) {
      if (!(double{logits[row + c]} > largest)) continue;
      largest = logits[row + c];
      best = c;
    }
    ids.words.push_back(best);
  }
  return {ids};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  return {.bytes = uint64_t{step.n_logits} * unpack_params<ArgmaxParams>(params).cols * 4, .flops = 0};
}

}  // namespace

const KernelSpec& kernels::argmax_f32() {
  static const KernelSpec spec{
      .name = "argmax_f32",
      .formula =
          "ids[i] = index of the largest of logits[i, :], the lower one of equals; NaN is never larger, and 0 stands "
          "for a row "
          "without anything above -Inf",
      .bindings = {{"logits", ElementType::kF32, Access::kRead, BindingKind::kBuffer, "[L, cols]"},
                   {"ids", ElementType::kU32, Access::kWrite, BindingKind::kBuffer, "[L]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"cols"}},
      .variants = {{.name = "portable",
                    .text = "head/argmax_f32/argmax_f32.kernel",
                    .workgroup = 64,
                    .shared = {{.name = "values", .type = ElementType::kF32, .count = "WG"},
                               {.name = "indices", .type = ElementType::kU32, .count = "WG"}}}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "comparisons only"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
