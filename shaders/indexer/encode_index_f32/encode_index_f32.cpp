#include "shaders/indexer/encode_index_f32/encode_index_f32.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "runtime/core/kernel_table.h"
#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

using Params = EncodeIndexParams;
using Sized = spec::ParamsAndStep<Params>;

uint32_t row_count(const Params& p, const StepHeader& step) {
  return p.ratio == 0 ? step.n_tokens * p.rows_per_token : GridDim::entries(p.ratio).evaluate(step);
}

Grid grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<Params>(params);
  if (p.ratio != 0) return {.x = GridDim::entries(p.ratio), .y = {}, .z = {}};
  return {.x = GridDim::tokens(), .y = GridDim::constant(p.rows_per_token), .z = {}};
}

uint32_t first_item(const Params& p, const StepHeader& step) { return p.ratio == 0 ? 0 : step.position / p.ratio; }

// A row whose transform repeats 6 and every value that lies between two codes: where the root of dim is a power of two
// these are ties.
void set_ties(std::span<float> row) {
  constexpr std::array<float, 8> kTransform = {6, -5, 3.5f, -2.5f, 1.75f, -1.25f, 0.75f, -0.25f};
  std::ranges::fill(row, 0.0f);
  for (size_t i = 0; i < kTransform.size(); ++i) {
    for (size_t j = 0; j < kTransform.size(); ++j) {
      row[i] += (std::popcount(i & j) % 2 == 0 ? kTransform[j] : -kTransform[j]) / 8;
    }
  }
}

CaseData make_case(Rng& rng, Params p, const StepHeader& step) {
  p.key_words = indexer_key_words(p.dim, p.format);
  const size_t rows = row_count(p, step);
  CaseData data;
  data.params = pack_params(p);
  data.step = spec::step_words(step);
  std::vector<float> x = spec::normal_floats(rng, std::max<size_t>(rows, 1) * p.dim);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= i / p.dim % 3 == 2 ? 0x1p-30f : 1;  // rows of other sizes
  for (size_t row = 0; row < rows; ++row) {
    const std::span<float> values = std::span(x).subspan(row * p.dim, p.dim);
    if (row % 5 == 1) set_ties(values);
    if (row % 5 == 3) std::ranges::fill(values, 0.0f);
  }
  data.bindings.push_back({.content = spec::to_bytes(x)});
  std::vector<uint32_t> before((first_item(p, step) + rows + 1) * p.key_words);
  for (uint32_t& word : before) word = std::bit_cast<uint32_t>(static_cast<float>(rng.normal()));
  data.bindings.push_back(spec::slabs(before, p.key_words));
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  const auto add = [](std::string name, Params p, StepHeader step) {
    return spec::sized_case(std::move(name), p, step, make_case,
                            {{"rows_per_token", [](Sized& s) -> uint32_t& { return s.params.rows_per_token; }}});
  };
  const StepHeader three = {.n_tokens = 3, .position = 5};
  return {
      add("queries_of_5_heads", {.dim = 128, .format = kKeyFp4, .rows_per_token = 5}, three),
      add("queries_unrounded", {.dim = 128, .format = kKeyF32, .rows_per_token = 3}, three),
      add("narrowest", {.dim = 32, .format = kKeyFp4, .rows_per_token = 2}, three),
      add("widest", {.dim = 512, .format = kKeyFp4}, {.n_tokens = 1}),
      add("keys_of_ratio_4", {.dim = 64, .format = kKeyFp4, .ratio = 4}, {.n_tokens = 14, .position = 7}),
      add("keys_unrounded", {.dim = 64, .format = kKeyF32, .ratio = 4}, {.n_tokens = 14, .position = 7}),
      add("no_entry_complete", {.dim = 64, .format = kKeyFp4, .ratio = 4}, {.n_tokens = 1, .position = 8}),
  };
}

// H·x by its definition: the sign of (i, j) is the parity of i & j.
void expect_unrounded(Expected& out, std::span<const float> x) {
  const double norm = 1 / std::sqrt(static_cast<double>(x.size()));
  double magnitude = 0;
  for (const float value : x) magnitude += std::fabs(double{value}) * norm;
  for (size_t i = 0; i < x.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < x.size(); ++j) sum += std::popcount(i & j) % 2 == 0 ? double{x[j]} : -double{x[j]};
    out.values.push_back(sum * norm);
    out.scales.push_back(magnitude);
  }
}

// Codes are compared exactly, so each stage rounds to f32 here as well: H_2n = [H_n H_n; H_n -H_n] from the inside out.
std::vector<uint32_t> encode(std::vector<float> x, uint32_t key_words) {
  const size_t dim = x.size();
  for (size_t span = 1; span < dim; span *= 2) {
    std::vector<float> next(dim);
    for (size_t i = 0; i < dim; ++i) next[i] = (i & span) == 0 ? x[i] + x[i + span] : x[i - span] - x[i];
    x = next;
  }
  std::vector<uint32_t> key(key_words);
  const auto norm = static_cast<float>(1 / std::sqrt(static_cast<double>(dim)));
  for (float& value : x) value *= norm;
  for (size_t begin = 0; begin < dim; begin += 32) {
    auto amax = static_cast<float>(std::ldexp(6.0, -126));
    const bool is_odd = std::any_of(&x[begin], &x[begin] + 32, [](float value) { return !std::isfinite(value); });
    for (size_t i = begin; i < begin + 32; ++i) amax = std::max(amax, std::fabs(x[i]));
    const uint32_t code = is_odd ? 255 : spec::scale_code(double{amax * (1.0f / 6.0f)});
    key[dim / 8 + begin / 128] |= code << (8 * (begin / 32 % 4));
    for (size_t i = begin; i < begin + 32 && !is_odd; ++i) {
      const double scaled = std::ldexp(double{x[i]}, 127 - static_cast<int>(code));
      key[i / 8] |= spec::nearest_code(scaled, 8, spec::e2m1) << (4 * (i % 8));
    }
  }
  return key;
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<Params>(data.params);
  const StepHeader step = read_step_header(data.step);
  const auto x = spec::from_bytes<float>(data.bindings[0].content);
  const auto before = spec::from_bytes<uint32_t>(data.bindings[1].content);
  const uint32_t rows = row_count(p, step);
  const size_t first = size_t{first_item(p, step)} * p.key_words;
  Expected out{.binding = 1};
  if (p.format == kKeyF32) {
    out.values.assign(first, kUntouched);
    out.scales.assign(first, 1);
    for (uint32_t r = 0; r < rows; ++r) expect_unrounded(out, std::span(x).subspan(size_t{r} * p.dim, p.dim));
    out.values.resize(before.size(), kUntouched);
    out.scales.resize(before.size(), 1);
    return {out};
  }
  out.words = before;
  for (uint32_t r = 0; r < rows; ++r) {
    const auto row = x.begin() + size_t{r} * p.dim;
    const auto key = encode({row, row + p.dim}, p.key_words);
    std::copy(key.begin(), key.end(), out.words.begin() + first + size_t{r} * p.key_words);
  }
  return {out};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<Params>(params);
  const uint64_t rows = row_count(p, step);
  return {.bytes = rows * 4 * (p.dim + p.key_words), .flops = rows * p.dim * std::bit_width(p.dim)};
}

}  // namespace

const KernelSpec& kernels::encode_index_f32() {
  static const KernelSpec spec = {
      .name = "encode_index_f32",
      .formula =
          "out[item(r)] = key(H·x[r]·dim^-1/2): Hadamard in natural order, e2m1 with a scale per 32; x [rows, dim]",
      .bindings = {{.name = "x", .shape = "[rows, dim]"},
                   {.name = "out",
                    .type = ElementType::kU32,
                    .access = Access::kReadWrite,
                    .kind = BindingKind::kSlabs,
                    .shape = "[items, key_words]"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep}},
      .params = {{"dim"}, {"format"}, {"key_words"}, {"ratio"}, {"rows_per_token"}},
      .variants = {{.name = "portable",
                    .text = "indexer/encode_index_f32/encode_index_f32.kernel",
                    .workgroup = 64,
                    .constants = {},
                    .shared = {{"values", ElementType::kF32, "512"}, {"codes", ElementType::kU32, "16"}},
                    .requires_ = {}},
                   {.name = "wide",
                    .text = "indexer/encode_index_f32/encode_index_f32.kernel",
                    .workgroup = 8,
                    .constants = {},
                    .shared = {{"values", ElementType::kF32, "512"}, {"codes", ElementType::kU32, "16"}},
                    .requires_ = {},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.eps = 8,
                    .why = "9 stages of additions and one product in f32, against the sum of magnitudes; codes exact"},
      .cost = cost,
  };
  return spec;
}

}  // namespace nibble
