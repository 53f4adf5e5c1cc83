#include "shaders/attention/encode_kv_f32/encode_kv_f32.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

using Params = EncodeKvParams;

uint32_t row_count(const Params& p, const StepHeader& step) {
  return p.ratio == 0 ? step.n_tokens : GridDim::entries(p.ratio).evaluate(step);
}

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  return {.x = p.ratio == 0 ? GridDim::tokens() : GridDim::entries(p.ratio), .y = {}, .z = {}};
}

// Values of many sizes, blocks of zeros, and values on rounding ties.
std::vector<float> hostile_rows(Rng& rng, size_t rows, uint32_t dim) {
  std::vector<float> x = spec::normal_floats(rng, rows * dim);
  for (size_t i = 0; i < x.size(); i += 32) {
    const double size = std::ldexp(1.0, static_cast<int>(rng.below(40)) - 20);
    const bool ties = rng.below(4) == 0;
    const bool zeros = rng.below(16) == 0;
    for (size_t j = i; j < std::min(i + 32, x.size()); ++j) {
      x[j] = static_cast<float>(x[j] * size);
      if (ties) x[j] = static_cast<float>(std::round(x[j] / size * 64) * size);
      if (zeros) x[j] = 0;
    }
  }
  return x;
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  p.entry_words = kv_entry_words(p.dim, p.rope, p.format);
  const uint32_t rows = row_count(p, step);
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  data.bindings.push_back({.content = spec::to_bytes(hostile_rows(rng, std::max(rows, 1u), p.dim))});
  std::vector<uint32_t> before(size_t{p.entry_capacity} * p.entry_words);
  for (uint32_t& word : before) word = static_cast<uint32_t>(rng.next_u64());
  data.bindings.push_back(spec::slabs(before, p.entry_words));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case, {});
  };
  const StepHeader five = {.n_tokens = 5, .position = 3};
  return {
      add("released_shape", {.dim = 512, .rope = 64, .format = kEntryFp8, .entry_capacity = 5}, five),
      add("f32_rope", {.dim = 512, .rope = 64, .format = kEntryFp8F32, .entry_capacity = 7}, five),
      add("f32", {.dim = 192, .rope = 64, .format = kEntryF32, .entry_capacity = 5}, five),
      add("short_last_block", {.dim = 128, .rope = 32, .format = kEntryFp8, .entry_capacity = 6}, five),
      add("one_short_block", {.dim = 96, .rope = 64, .format = kEntryFp8, .entry_capacity = 5}, five),
      add("entries_of_ratio_4", {.dim = 192, .rope = 64, .format = kEntryFp8, .ratio = 4, .entry_capacity = 9},
          {.n_tokens = 13, .position = 10}),
      add("entries_beyond_capacity", {.dim = 64, .rope = 32, .format = kEntryFp8F32, .ratio = 4, .entry_capacity = 4},
          {.n_tokens = 13, .position = 10}),
      add("no_entry_complete", {.dim = 64, .rope = 32, .format = kEntryFp8, .ratio = 128, .entry_capacity = 4},
          {.n_tokens = 3, .position = 10}),
  };
}

uint32_t bf16_nearest_even(float value) {
  if (value == 0) return std::signbit(value) ? 0x8000 : 0;
  if (!std::isfinite(value)) return std::bit_cast<uint32_t>(value) >> 16;
  int exponent = 0;
  const double mantissa = std::frexp(double{value}, &exponent);
  const auto rounded = static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8));
  return std::bit_cast<uint32_t>(rounded) >> 16;
}

std::vector<uint32_t> encode(std::span<const float> x, const Params& p) {
  std::vector<uint32_t> entry(p.entry_words);
  const uint32_t plain = p.format == kEntryF32 ? 0 : p.dim - p.rope;
  const uint32_t scale_byte = kv_scale_word(p.dim, p.rope, p.format) * 4;
  for (uint32_t begin = 0; begin < plain; begin += 64) {
    float amax = 1e-4f;
    const uint32_t end = std::min(begin + 64, plain);
    const bool is_odd = std::any_of(&x[begin], &x[end - 1] + 1, [](float value) { return !std::isfinite(value); });
    for (uint32_t i = begin; i < end; ++i) amax = std::max(amax, std::fabs(x[i]));
    const uint32_t code = is_odd ? 255 : spec::scale_code(double{amax * (1.0f / 448.0f)});
    entry[(scale_byte + begin / 64) / 4] |= code << (8 * ((scale_byte + begin / 64) % 4));
    for (uint32_t i = begin; i < end; ++i) {
      if (is_odd) {
        entry[i / 4] |= 0x7fu << (8 * (i % 4));
        continue;
      }
      const double scaled = std::ldexp(double{x[i]}, 127 - static_cast<int>(code));
      const auto value_of = [](uint32_t c) { return spec::e4m3(static_cast<uint8_t>(c)); };
      entry[i / 4] |= spec::nearest_code(scaled, 0x7f, value_of) << (8 * (i % 4));
    }
  }
  for (uint32_t i = plain; i < p.dim; ++i) {
    if (p.format == kEntryFp8) {
      entry[plain / 4 + (i - plain) / 2] |= bf16_nearest_even(x[i]) << (16 * (i % 2));
    } else {
      entry[plain / 4 + i - plain] = std::bit_cast<uint32_t>(x[i]);
    }
  }
  return entry;
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  Expected out{.binding = 1, .words = spec::from_bytes<uint32_t>(data.bindings[1].content)};
  for (uint32_t r = 0; r < row_count(p, step); ++r) {
    const uint32_t item = p.ratio == 0 ? r : step.position / p.ratio + r;
    if (item >= p.entry_capacity) continue;
    const auto entry = encode(std::span(x).subspan(size_t{r} * p.dim, p.dim), p);
    std::copy(entry.begin(), entry.end(), out.words.begin() + size_t{item} * p.entry_words);
  }
  return {out};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t rows = row_count(p, step);
  return {.bytes = rows * 4 * (p.dim + p.entry_words), .flops = rows * p.dim * 2};
}

}  // namespace

const KernelSpec& kernels::encode_kv_f32() {
  static const KernelSpec spec = {
      .name = "encode_kv_f32",
      .formula = "out[item(r)] = entry(x[r]): e4m3 with a scale per 64 of dim - rope, then bf16 or f32; x [rows, dim]",
      .bindings = {{.name = "x", .shape = "[rows, dim]"},
                   {.name = "out",
                    .type = ElementType::kU32,
                    .access = Access::kReadWrite,
                    .kind = BindingKind::kSlabs,
                    .shape = "[entry_capacity, entry_words]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"dim"}, {"rope"}, {"format"}, {"entry_words"}, {"ratio"}, {"entry_capacity"}},
      .variants = {{.name = "portable",
                    .text = "attention/encode_kv_f32/encode_kv_f32.kernel",
                    .workgroup = 64,
                    .constants = {},
                    .shared = {{"word_max", ElementType::kU32, "128"}, {"codes", ElementType::kU32, "8"}},
                    .requires_ = {}},
                   {.name = "wide",
                    .text = "attention/encode_kv_f32/encode_kv_f32.kernel",
                    .workgroup = 8,
                    .constants = {},
                    .shared = {{"word_max", ElementType::kU32, "128"}, {"codes", ElementType::kU32, "8"}},
                    .requires_ = {},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 0, .why = "codes are exact: scales are powers of two taken from the exponent's bits"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
