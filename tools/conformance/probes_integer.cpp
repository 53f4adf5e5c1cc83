// 32-bit words: arithmetic, shifts, fields, comparisons, and conversions from and to f32.
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr uint32_t kCount = 1021;
constexpr ElementType kF32 = ElementType::kF32;
constexpr ElementType kU32 = ElementType::kU32;

std::vector<KernelCase> shift_cases() {
  return {{"by_0_to_31", [](Rng& rng) {
             std::vector<uint32_t> b;
             for (uint32_t i = 0; i < kCount; ++i) b.push_back(i % 32);
             return element_case(kCount, {random_words(rng, kCount), b}, {3 * kCount});
           }}};
}

std::vector<Expected> shift_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  const auto b = words_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) {
    const uint64_t signs = (a[i] >> 31) != 0 ? 0xffffffff00000000u : 0u;
    y.words.push_back(static_cast<uint32_t>(uint64_t{a[i]} << b[i]));
    y.words.push_back(static_cast<uint32_t>(uint64_t{a[i]} >> b[i]));
    y.words.push_back(static_cast<uint32_t>((signs | a[i]) >> b[i]));
  }
  return {y};
}

template <size_t kOutput>
std::vector<KernelCase> word_cases() {
  return {{"words", [](Rng& rng) { return element_case(kCount, {random_words(rng, kCount)}, {kOutput * kCount}); }}};
}

std::vector<Expected> bytes_reference(const CaseData& data) {
  Expected y{.binding = 1};
  for (const uint32_t word : words_in(data, 0)) {
    for (uint32_t k = 0; k < 4; ++k) y.words.push_back((word / (1u << (8 * k))) % 256);
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t field = (word / (1u << (4 * k))) % 16;
      y.words.push_back(field >= 8 ? field - 16 : field);
    }
  }
  return {y};
}

// Divisors of all lengths, and dividends beyond 2^24, where a division by way of f32 goes wrong.
template <size_t kFirst, size_t kSecond>
std::vector<KernelCase> pair_cases() {
  return {{"words", [](Rng& rng) {
             std::vector<uint32_t> a = random_words(rng, kCount);
             std::vector<uint32_t> b = random_words(rng, kCount);
             for (uint32_t i = 0; i < kCount; ++i) b[i] = (b[i] >> (i % 31)) | 1u;
             for (uint32_t i = 0; i < kCount; i += 5) a[i] = b[i] * (1 + i % 3);
             std::vector<size_t> outputs = {kFirst * kCount};
             if (kSecond > 0) outputs.push_back(kSecond * kCount);
             return element_case(kCount, {a, b}, outputs);
           }}};
}

std::vector<Expected> arithmetic_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  const auto b = words_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) {
    const uint64_t l = a[i];
    const uint64_t r = b[i];
    for (const uint64_t value : {l + r, l - r, l * r, l / r, l % r, l & r, l | r, l ^ ~r}) {
      y.words.push_back(static_cast<uint32_t>(value));
    }
  }
  return {y};
}

int64_t as_signed(uint32_t word) { return word < 0x80000000u ? int64_t{word} : int64_t{word} - 0x100000000; }

std::vector<Expected> compare_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  const auto b = words_in(data, 1);
  Expected y{.binding = 2};
  Expected z{.binding = 3};
  for (size_t i = 0; i < a.size(); ++i) {
    const bool signed_less = as_signed(a[i]) < as_signed(b[i]);
    y.words.push_back((a[i] < b[i] ? 1u : 0u) | (a[i] <= b[i] ? 2u : 0u) | (a[i] == b[i] ? 4u : 0u) |
                      (signed_less ? 8u : 0u));
    z.words.push_back(a[i] < b[i] ? a[i] : b[i]);
    z.words.push_back(a[i] < b[i] ? b[i] : a[i]);
    z.words.push_back(signed_less ? b[i] : a[i]);
  }
  return {y, z};
}

std::vector<KernelCase> conversion_cases() {
  return {{"all_lengths", [](Rng& rng) {
             std::vector<uint32_t> a = random_words(rng, kCount);
             for (uint32_t i = 0; i < kCount; ++i) a[i] >>= i % 32;
             return element_case(kCount, {a}, {kCount, kCount});
           }}};
}

// Exact up to 24 bits; beyond, either neighbour is "correctly rounded".
std::vector<Expected> conversion_reference(const CaseData& data) {
  Expected y{.binding = 1};
  Expected z{.binding = 2};
  for (const uint32_t word : words_in(data, 0)) {
    for (Expected* out : {&y, &z}) {
      const double value = out == &y ? static_cast<double>(word) : static_cast<double>(as_signed(word));
      out->values.push_back(value);
      out->slack.push_back(std::fabs(value) <= 0x1p24 ? 0 : std::fabs(value) * 0x1p-23);
    }
  }
  return {y, z};
}

std::vector<KernelCase> truncation_cases() {
  return {{"both_signs", [](Rng& rng) {
             auto a = wide_floats(rng, kCount, -3, 32);
             const auto b = wide_floats(rng, kCount, -3, 31);
             for (float& value : a) value = std::fabs(value);
             return element_case(kCount, {bits_of(a), bits_of(b)}, {kCount, kCount});
           }}};
}

std::vector<Expected> truncation_reference(const CaseData& data) {
  Expected y{.binding = 2};
  Expected z{.binding = 3};
  for (const float a : floats_in(data, 0)) y.words.push_back(static_cast<uint32_t>(std::floor(double{a})));
  for (const float b : floats_in(data, 1)) {
    const auto magnitude = static_cast<uint32_t>(std::floor(std::fabs(double{b})));
    z.words.push_back(b < 0 ? 0u - magnitude : magnitude);
  }
  return {y, z};
}

Probe shifts() {
  return {.spec = per_element({.name = "probe_u32_shifts",
                               .text = conformance_text("probes/u32_shifts.kernel"),
                               .formula = "y = a << b, a >> b, i32(a) >> b",
                               .bindings = {input("a", kU32), input("b", kU32), output("y", kU32)},
                               .cases = shift_cases,
                               .reference = shift_reference}),
          .fact = "shifts move zeros in, but signed shifts to the right the sign",
          .symptom = "codes are cut out of words wrongly: weights, scales and KV entries are garbage",
          .relied_on_by = {"*fp8*", "*fp4*", "*bf16*", "encode_*", "attention_*", "topk_*", "indexer_*"}};
}

Probe fields() {
  return {.spec = per_element({.name = "probe_u32_fields",
                               .text = conformance_text("probes/u32_bytes.kernel"),
                               .formula = "y = four bytes and four signed 4-bit fields of a",
                               .bindings = {input("a", kU32), output("y", kU32)},
                               .cases = word_cases<8>,
                               .reference = bytes_reference}),
          .fact = "bytes and signed fields of a word come out by shifts and masks",
          .symptom = "small formats decode to garbage",
          .relied_on_by = {"*fp8*", "*fp4*", "*bf16*", "encode_*", "attention_*"}};
}

Probe arithmetic() {
  return {.spec = per_element({.name = "probe_u32_arithmetic",
                               .text = conformance_text("probes/u32_arithmetic.kernel"),
                               .formula = "y = a + b, a - b, a * b, a / b, a % b, a & b, a | b, a ^ ~b",
                               .bindings = {input("a", kU32), input("b", kU32), output("y", kU32)},
                               .cases = pair_cases<8, 0>,
                               .reference = arithmetic_reference}),
          .fact = "u32 arithmetic wraps, and division is exact over the whole range",
          .symptom = "wrong elements are read: addresses are products, quotients and remainders",
          .relied_on_by = {"*"}};
}

Probe compare() {
  return {.spec = per_element({.name = "probe_u32_compare",
                               .text = conformance_text("probes/u32_compare.kernel"),
                               .formula = "y = four comparisons as bits, z = min, max, signed max",
                               .bindings = {input("a", kU32), input("b", kU32), output("y", kU32), output("z", kU32)},
                               .cases = pair_cases<1, 3>,
                               .reference = compare_reference}),
          .fact = "words compare as u32 and as i32, each as declared",
          .symptom = "bounds checks fail: rows at the edge are missing, or too many are written",
          .relied_on_by = {"*"}};
}

// The largest products of either sign among them.
std::vector<KernelCase> dot_cases() {
  return {{"bytes", [](Rng& rng) {
             std::vector<uint32_t> a = random_words(rng, kCount);
             std::vector<uint32_t> b = random_words(rng, kCount);
             constexpr uint32_t kExtremes[] = {0x80808080u, 0x7f7f7f7fu, 0xffffffffu, 0x807f807fu};
             for (uint32_t i = 0; i < 16; ++i) {
               a[i] = kExtremes[i / 4];
               b[i] = kExtremes[i % 4];
             }
             return element_case(kCount, {a, b}, {2 * kCount});
           }}};
}

std::vector<Expected> dot_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  const auto b = words_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t sum = 0;
    for (uint32_t k = 0; k < 4; ++k) {
      sum += int64_t{static_cast<int8_t>(a[i] >> (8 * k))} * static_cast<int8_t>(b[i] >> (8 * k));
    }
    y.words.push_back(static_cast<uint32_t>(sum));
    y.words.push_back(static_cast<uint32_t>(sum + 0x7ffffff0));
  }
  return {y};
}

Probe int8_dot() {
  KernelSpec spec = per_element({.name = "probe_int8_dot",
                                 .text = conformance_text("probes/int8_dot.kernel"),
                                 .formula = "y = sum of the products of the signed bytes of a and b, twice",
                                 .bindings = {input("a", kU32), input("b", kU32), output("y", kU32)},
                                 .cases = dot_cases,
                                 .reference = dot_reference});
  spec.variants.front().name = "int8_dot";
  spec.variants.front().requires_ = {Capability::kInt8Dot};
  spec.variants.front().dialect = Dialect::kGlsl;
  return {.spec = std::move(spec),
          .fact = "OpSDot of four signed bytes is exact, and what is added to it wraps",
          .symptom = "scores of the indexer and experts with fast numerics are wrong",
          .relied_on_by = {"*int8*"}};
}

Probe to_float() {
  return {.spec = per_element({.name = "probe_u32_to_f32",
                               .text = conformance_text("probes/u32_to_f32.kernel"),
                               .formula = "y = f32(a), z = f32(i32(a))",
                               .bindings = {input("a", kU32), output("y", kF32), output("z", kF32)},
                               .cases = conversion_cases,
                               .reference = conversion_reference,
                               .tolerance = {.eps = 0, .why = "exact up to 2^24, else one ulp, given per element"}}),
          .fact = "u32 and i32 become f32 exactly up to 2^24, and a neighbour of it beyond",
          .symptom = "means and FP4 values are wrong",
          .relied_on_by = {"*fp4*", "*fp8*", "rms_*", "hc_*", "encode_*", "attention_*"}};
}

Probe from_float() {
  return {.spec = per_element({.name = "probe_f32_to_u32",
                               .text = conformance_text("probes/f32_to_u32.kernel"),
                               .formula = "y = u32(a), z = i32(b)",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kU32), output("z", kU32)},
                               .cases = truncation_cases,
                               .reference = truncation_reference}),
          .fact = "f32 becomes u32 and i32 by truncation towards zero",
          .symptom = "codes of rounded activations are off by one",
          .relied_on_by = {"quant_*", "encode_*"}};
}

}  // namespace

std::vector<Probe> integer_probes() {
  return {shifts(), fields(), arithmetic(), compare(), int8_dot(), to_float(), from_float()};
}

}  // namespace nibble::conformance
