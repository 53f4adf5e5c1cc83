#include <array>

#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/formats/weight_format.h"
#include "shaders/head/embed/embed.h"

namespace nibble {
namespace {

template <WeightFormat kFormat>
Grid embed_grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<EmbedParams>(params);
  return {
      .x = GridDim::constant(spec::ceil_div(kFormat == WeightFormat::kBf16 ? p.cols / 2 : p.cols, variant.workgroup)),
      .y = GridDim::tokens()};
}

template <WeightFormat kFormat>
CaseData make_case(const EmbedParams& p, uint32_t n_tokens, uint32_t vocab, Rng& rng) {
  std::vector<uint32_t> extra(p.tokens_at - kStepHeaderWords);
  // First the tokens at the ends of the vocabulary and of its piece, as far as there are such.
  const std::array ends = {vocab - 1, p.vocab_end, p.vocab_begin, p.vocab_end - 1, p.vocab_begin - 1};
  for (uint32_t t = 0; t < n_tokens; ++t) {
    extra.push_back(t < ends.size() && ends[t] < vocab ? ends[t] : rng.below(vocab));
  }
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = n_tokens, .position = 3}, extra)};
  const uint32_t rows = p.vocab_end - p.vocab_begin;
  const size_t row_bytes = weight_row_bytes(kFormat, p.cols);
  CaseBinding table{.item_bytes = row_bytes};
  if (kFormat == WeightFormat::kBf16) {
    std::vector<uint16_t> codes(size_t{rows} * p.cols);
    for (uint16_t& code : codes) code = static_cast<uint16_t>(rng.below(0x7f80) | (rng.below(2) << 15));
    table.content = spec::to_bytes(codes);
  } else {
    table.content = spec::to_bytes(spec::normal_floats(rng, size_t{rows} * p.cols));
  }
  data.bindings.push_back(std::move(table));
  data.bindings.push_back(spec::blank(size_t{n_tokens} * p.copies * p.cols));
  data.bindings.emplace_back();
  return data;
}

template <WeightFormat kFormat>
std::vector<KernelCase> embed_cases() {
  return {{"one_token",
           [](Rng& rng) {
             return make_case<kFormat>({.cols = 96, .copies = 4, .tokens_at = 8, .vocab_end = 41}, 1, 41, rng);
           }},
          {"chunk",
           [](Rng& rng) {
             return make_case<kFormat>({.cols = 134, .copies = 1, .tokens_at = 11, .vocab_end = 67}, 17, 67, rng);
           }},
          {"every_code",
           [](Rng& rng) {
             const EmbedParams p{.cols = 512, .copies = 1, .tokens_at = 8, .vocab_end = 128};
             CaseData data = make_case<kFormat>(p, 128, 128, rng);
             for (uint32_t t = 0; t < 128; ++t) data.step[p.tokens_at + t] = t;
             std::vector<std::byte>& table = data.bindings[0].content;
             for (uint32_t code = 0; kFormat == WeightFormat::kBf16 && code < 0x10000; ++code)
               std::memcpy(&table[code * 2], &code, 2);
             return data;
           }},
          {"piece_of_the_vocabulary", [](Rng& rng) {
             const EmbedParams p{.cols = 26, .copies = 3, .tokens_at = 8, .vocab_begin = 5, .vocab_end = 14};
             return make_case<kFormat>(p, 17, 19, rng);
           }}};
}

template <WeightFormat kFormat>
std::vector<Expected> embed_reference(const CaseData& data) {
  const auto p = unpack_params<EmbedParams>(data.params);
  const spec::StoredMatrix table{.format = kFormat, .codes = data.bindings[0].content, .cols = p.cols};
  Expected x{.binding = 1};
  for (uint32_t t = 0; t < data.step[kStepTokens]; ++t) {
    const uint32_t token = data.step[p.tokens_at + t];
    const bool inside = token >= p.vocab_begin && token < p.vocab_end;
    for (uint32_t i = 0; i < p.copies * p.cols; ++i) {
      x.values.push_back(inside ? table.at(token - p.vocab_begin, i % p.cols) : kUntouched);
    }
  }
  return {x};
}

template <WeightFormat kFormat>
Cost embed_cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<EmbedParams>(params);
  return {.bytes = uint64_t{step.n_tokens} * (weight_row_bytes(kFormat, p.cols) + uint64_t{4} * p.cols * p.copies),
          .flops = 0};
}

template <WeightFormat kFormat>
KernelSpec embed_spec(std::string_view name) {
  KernelSpec spec{.name = name,
                  .formula = "x[t,c,:] = table[token(t),:] for every copy c, token(t) = step[tokens_at + t]",
                  .bindings = {{"table", kFormat == WeightFormat::kBf16 ? ElementType::kU32 : ElementType::kF32,
                                Access::kRead, BindingKind::kSlabs, "[vocab, cols]"},
                               {"x", ElementType::kF32, Access::kWrite, BindingKind::kBuffer, "[T, copies, cols]"},
                               {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
                  .params = {{"cols"}, {"copies"}, {"tokens_at"}, {"vocab_begin"}, {"vocab_end"}},
                  .variants = {{.name = "portable", .text = "head/embed/embed.kernel", .workgroup = 64}},
                  .grid = embed_grid<kFormat>,
                  .cases = embed_cases<kFormat>,
                  .reference = embed_reference<kFormat>,
                  .tolerance = {.eps = 0, .why = "a copy"},
                  .cost = embed_cost<kFormat>};
  use_format(spec, kFormat);
  return spec;
}

}  // namespace

const KernelSpec& kernels::embed_bf16() {
  static const KernelSpec spec = embed_spec<WeightFormat::kBf16>("embed_bf16");
  return spec;
}

const KernelSpec& kernels::embed_f32() {
  static const KernelSpec spec = embed_spec<WeightFormat::kF32>("embed_f32");
  return spec;
}

}  // namespace nibble
