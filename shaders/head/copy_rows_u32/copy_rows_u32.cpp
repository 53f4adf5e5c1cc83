#include "shaders/head/copy_rows_u32/copy_rows_u32.h"

#include <algorithm>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<CopyRowsParams>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.row_words, variant.workgroup)), .y = GridDim::logits()};
}

constexpr uint32_t kSpareRows = 2;  // rows of dst beyond n_logits, which must stay

CaseData make_case(const CopyRowsParams& p, const StepHeader& step, Rng& rng) {
  CaseData data{.params = pack_params(p), .step = spec::step_words(step)};
  data.bindings.push_back(
      {.content = spec::to_bytes(spec::random_bytes(rng, size_t{step.n_tokens} * p.row_words * 4))});
  const size_t rows = step.n_logits + kSpareRows;
  data.bindings.push_back({.content = spec::to_bytes(spec::random_bytes(rng, rows * p.row_words * 4))});
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  return {{"last_row",
           [](Rng& rng) {
             return make_case({.row_words = 131}, {.n_tokens = 17, .n_logits = 1, .logits_first = 16}, rng);
           }},
          {"all_rows",
           [](Rng& rng) { return make_case({.row_words = 64}, {.n_tokens = 3, .position = 9, .n_logits = 3}, rng); }},
          {"middle_rows", [](Rng& rng) {
             return make_case({.row_words = 5}, {.n_tokens = 7, .n_logits = 4, .logits_first = 2}, rng);
           }}};
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<CopyRowsParams>(data.params);
  const auto src = spec::from_bytes<uint32_t>(data.bindings[0].content);
  const StepHeader step = read_step_header(data.step);
  Expected dst{.binding = 1, .words = spec::from_bytes<uint32_t>(data.bindings[1].content)};
  const auto from = src.begin() + static_cast<ptrdiff_t>(size_t{step.logits_first} * p.row_words);
  std::copy_n(from, size_t{step.n_logits} * p.row_words, dst.words.begin());
  return {dst};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  return {.bytes = uint64_t{step.n_logits} * unpack_params<CopyRowsParams>(params).row_words * 8, .flops = 0};
}

}  // namespace

const KernelSpec& kernels::copy_rows_u32() {
  static const KernelSpec spec{
      .name = "copy_rows_u32",
      .formula = "dst[i, :] = src[logits_first + i, :] for i < n_logits",
      .bindings = {{"src", ElementType::kU32, Access::kRead, BindingKind::kBuffer, "[T, row_words]"},
                   {"dst", ElementType::kU32, Access::kReadWrite, BindingKind::kBuffer, "[L, row_words]"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"row_words"}},
      .variants = {{.name = "portable", .text = "head/copy_rows_u32/copy_rows_u32.kernel", .workgroup = 64}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "a copy"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
