// f32 beside arithmetic: f16 codes, extremes, infinities, NaN, denormals, comparisons, bits.
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr size_t kNanResults = 8;  // of probes/f32_nan.kernel, for each element

constexpr ElementType kF32 = ElementType::kF32;
constexpr ElementType kU32 = ElementType::kU32;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The finite f16 codes of which `wanted` says so, two in a word, every code once in either half.
std::vector<uint32_t> f16_words(bool denormals) {
  std::vector<uint32_t> codes;
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const uint32_t exponent = code >> 10 & 31;
    const bool is_denormal = exponent == 0 && (code & 0x3ff) != 0;
    if (exponent != 31 && is_denormal == denormals) codes.push_back(code);
  }
  std::vector<uint32_t> words;
  for (size_t i = 0; i < codes.size(); ++i) words.push_back(codes[i] | codes[codes.size() - 1 - i] << 16);
  return words;
}

template <bool kDenormals>
std::vector<KernelCase> f16_cases() {
  return {{"every_code", [](Rng&) {
             const std::vector<uint32_t> words = f16_words(kDenormals);
             return element_case(static_cast<uint32_t>(words.size()), {words}, {2 * words.size()});
           }}};
}

double f16_value(uint32_t code) {
  const int exponent = static_cast<int>(code >> 10 & 31);
  const double fraction = (code & 0x3ff) / 1024.0;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
  return (code & 0x8000) != 0 ? -magnitude : magnitude;
}

std::vector<Expected> f16_reference(const CaseData& data) {
  Expected y{.binding = 1};
  for (const uint32_t word : words_in(data, 0)) {
    for (const uint32_t code : {word & 0xffff, word >> 16}) {
      y.words.push_back(std::bit_cast<uint32_t>(static_cast<float>(f16_value(code))));
    }
  }
  return {y};
}

Probe f16_unpack(bool denormals) {
  return {
      .spec = per_element({.name = denormals ? "probe_f16_denormals" : "probe_f16_unpack",
                           .text = conformance_text("probes/f16_unpack.kernel"),
                           .formula = "y = the two f16 of a word as f32",
                           .bindings = {input("a", kU32), output("y", kF32)},
                           .cases = denormals ? f16_cases<true> : f16_cases<false>,
                           .reference = f16_reference}),
      .fact = denormals ? "unpack_half2 keeps f16 denormals" : "unpack_half2 is exact for every normal f16 and zero",
      .symptom = denormals ? "small FP8 and FP4 weights become zero" : "FP8 and FP4 weights decode to wrong values",
      .relied_on_by = {"*texels*", "gemm_fp8*", "moe_*fp4*", "moe_*fp8*"}};
}

// Nothing here is zero: which of -0 and +0 is the smaller is nobody's promise.
std::vector<KernelCase> pair_cases() {
  return {{"pairs", [](Rng& rng) {
             auto a = wide_floats(rng, 997, -4, 5);
             auto b = wide_floats(rng, 997, -4, 5);
             for (size_t i = 0; i < a.size(); i += 3) b[i] = i % 2 == 0 ? a[i] : -a[i];
             return element_case(997, {bits_of(a), bits_of(b)}, {5 * 997});
           }}};
}

std::vector<Expected> extremes_reference(const CaseData& data) {
  const auto a = floats_in(data, 0);
  const auto b = floats_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) {
    const float limit = b[i] < 0 ? -b[i] : b[i];
    const float low = a[i] < b[i] ? a[i] : b[i];
    const float high = a[i] < b[i] ? b[i] : a[i];
    const float clamped = a[i] > limit ? limit : a[i] < -limit ? -limit : a[i];
    for (const float value : {low, high, clamped, -a[i], a[i] < 0 ? -a[i] : a[i]}) {
      y.words.push_back(std::bit_cast<uint32_t>(value));
    }
  }
  return {y};
}

Probe extremes() {
  return {.spec = per_element({.name = "probe_f32_extremes",
                               .text = conformance_text("probes/f32_extremes.kernel"),
                               .formula = "y = min, max, clamp, -a, |a|",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kF32)},
                               .cases = pair_cases,
                               .reference = extremes_reference}),
          .fact = "min, max, clamp, negation and abs give one of their arguments' bits",
          .symptom = "scales of FP8 blocks, clamped activations and softmax maxima are wrong",
          .relied_on_by = {"quant_*", "attention_*", "swiglu_*", "moe_*", "encode_*", "gate_*", "indexer_*"}};
}

std::vector<KernelCase> compare_cases() {
  return {{"pairs", [](Rng& rng) {
             auto a = wide_floats(rng, 997, -2, 3);
             auto b = wide_floats(rng, 997, -2, 3);
             for (size_t i = 0; i < a.size(); i += 3) b[i] = a[i];
             a[1] = 0.0f, b[1] = -0.0f;
             a[4] = kInfinity, a[5] = -kInfinity;
             return element_case(997, {bits_of(a), bits_of(b)}, {997});
           }}};
}

std::vector<Expected> compare_reference(const CaseData& data) {
  const auto a = floats_in(data, 0);
  const auto b = floats_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) {
    y.words.push_back((a[i] < b[i] ? 1u : 0u) | (a[i] <= b[i] ? 2u : 0u) | (a[i] == b[i] ? 4u : 0u) |
                      (a[i] != b[i] ? 8u : 0u) | (a[i] > b[i] ? 16u : 0u) | (a[i] >= b[i] ? 32u : 0u));
  }
  return {y};
}

Probe compare() {
  return {.spec = per_element({.name = "probe_f32_compare",
                               .text = conformance_text("probes/f32_compare.kernel"),
                               .formula = "y = six comparisons as bits",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kU32)},
                               .cases = compare_cases,
                               .reference = compare_reference}),
          .fact = "f32 compares as numbers, and -0 equals +0",
          .symptom = "wrong experts, entries or tokens are chosen",
          .relied_on_by = {"topk_*", "gate_*", "argmax_*", "attention_*"}};
}

std::vector<KernelCase> infinity_cases() {
  return {{"finite", [](Rng& rng) {
             auto a = wide_floats(rng, 200, -100, 101);
             a[7] = kInfinity;
             a[8] = -kInfinity;
             return element_case(200, {bits_of(a)}, {800}, {std::bit_cast<uint32_t>(kInfinity)});
           }}};
}

std::vector<Expected> infinity_reference(const CaseData& data) {
  Expected y{.binding = 1};
  for (const float a : floats_in(data, 0)) {
    for (const float value : {a, a, 0.0f, std::isfinite(a) ? 1.0f : 0.0f}) {
      y.words.push_back(std::bit_cast<uint32_t>(value));
    }
  }
  return {y};
}

Probe infinity() {
  return {.spec = per_element({.name = "probe_f32_infinity",
                               .text = conformance_text("probes/f32_infinity.kernel"),
                               .formula = "y = max(-inf, a), min(inf, a), exp(-inf), -inf < a < inf",
                               .bindings = {input("a", kF32), output("y", kF32)},
                               .cases = infinity_cases,
                               .reference = infinity_reference,
                               .more_params = {{"infinity"}}}),
          .fact = "infinities bound all numbers, and exp(-inf) is 0",
          .symptom = "masked positions are attended to; top-k never finds a first candidate",
          .relied_on_by = {"attention_*", "gate_*", "argmax_*", "topk_*"}};
}

// Positive numbers, and NaN of either sign in every other place.
std::vector<KernelCase> nan_cases() {
  return {{"nan", [](Rng& rng) {
             auto a = wide_floats(rng, 97, -3, 4);
             auto b = wide_floats(rng, 97, -3, 4);
             for (size_t i = 0; i < a.size(); ++i) {
               a[i] = std::fabs(a[i]);
               b[i] = std::fabs(b[i]);
               if (i % 4 == 0) a[i] = std::bit_cast<float>(0x7fc00000u);
               if (i % 4 == 2) a[i] = std::bit_cast<float>(0xffc00001u);
             }
             return element_case(97, {bits_of(a), bits_of(b)}, {kNanResults * 97}, {0});
           }}};
}

// What is wrong with the results of a and b, "" if nothing. Of min, max and clamp of a NaN the NaN and the number are
// both right: kernels must not depend on it.
std::string nan_problem(float a, float b, const float* y) {
  const bool nan = std::isnan(a);
  const auto is = [&](float found, float number, const auto&... others) {
    return nan ? std::isnan(found) || ((found == others) || ...) : found == number;
  };
  if (nan != std::isnan(y[0])) return fmt::format("a + 1 = {}", y[0]);
  if (nan != std::isnan(y[1])) return fmt::format("a * 0 = {}", y[1]);
  if (!is(y[2], std::max(a, b), b)) return fmt::format("max(a, b) = {}", y[2]);
  if (!is(y[3], std::min(a, b), b)) return fmt::format("min(a, b) = {}", y[3]);
  if (!is(y[4], std::min(a, b), b, -b)) return fmt::format("clamp(a, -|b|, |b|) = {}", y[4]);
  if (y[5] != (nan ? 1.0f : 0.0f)) return fmt::format("a test of a's bits for NaN gives {}", y[5]);
  const int compared = (a < b ? 1 : 0) | (a <= b ? 2 : 0) | (a == b ? 4 : 0) | (a > b ? 8 : 0) | (a >= b ? 16 : 0);
  if (static_cast<int>(y[6]) != compared) return fmt::format("a <, <=, ==, >, >= b are the bits of {}", y[6]);
  if (static_cast<int>(y[7]) != (nan ? 127 : 0)) {
    return fmt::format(
        "limits that keep NaN (swiglu twice, relu), exp, sqrt, 1/sqrt(a) and b / a are NaN in the bits of {}", y[7]);
  }
  return "";
}

std::vector<Expected> nan_reference(const CaseData& data) {
  Expected y{.binding = 2};
  y.custom = [a = floats_in(data, 0),
              b = floats_in(data, 1)](std::span<const std::byte> bytes) -> std::optional<std::string> {
    const auto found = spec::from_bytes<float>(bytes);
    for (size_t i = 0; i < a.size(); ++i) {
      const std::string problem = nan_problem(a[i], b[i], &found.at(kNanResults * i));
      if (!problem.empty()) return fmt::format(": a = {}, b = {}: {}", a[i], b[i], problem);
    }
    return std::nullopt;
  };
  return {y};
}

Probe not_a_number() {
  return {.spec = per_element({.name = "probe_f32_nan",
                               .text = conformance_text("probes/f32_nan.kernel"),
                               .formula = "y = what sums, products, comparisons, min, max and functions make of NaN",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kF32)},
                               .cases = nan_cases,
                               .reference = nan_reference,
                               .more_params = {{"zero"}}}),
          .fact = "NaN stays NaN in arithmetic and functions, is never less, equal or greater, and its bits show it",
          .symptom = "a broken result looks like a number, so nothing notices it",
          .relied_on_by = {"*"}};
}

std::vector<KernelCase> denormal_cases() {
  return {{"denormals", [](Rng& rng) {
             std::vector<uint32_t> a;
             for (uint32_t i = 0; i < 500; ++i) a.push_back((1 + rng.below(0x7ffffe)) | rng.below(2) << 31);
             return element_case(500, {a}, {500}, {std::bit_cast<uint32_t>(1.0f)});
           }}};
}

std::vector<Expected> denormal_reference(const CaseData& data) {
  std::vector<uint32_t> kept = words_in(data, 0);
  std::vector<uint32_t> flushed;
  for (const uint32_t word : kept) flushed.push_back(word & 0x80000000u);
  // Some drivers flush to +0 whatever the sign was.
  Expected y{.binding = 1};
  y.custom = [kept, flushed](std::span<const std::byte> bytes) -> std::optional<std::string> {
    const auto found = spec::from_bytes<uint32_t>(bytes);
    for (size_t i = 0; i < kept.size(); ++i) {
      if (found.at(i) == kept[i] || found[i] == flushed[i] || found[i] == 0) continue;
      return fmt::format("[{}] = {:#010x}, want {:#010x} or zero", i, found[i], kept[i]);
    }
    return std::nullopt;
  };
  return {y};
}

Probe denormals() {
  return {.spec = per_element({.name = "probe_f32_denormals",
                               .text = conformance_text("probes/f32_denormal.kernel"),
                               .formula = "y = a * 1",
                               .bindings = {input("a", kF32), output("y", kF32)},
                               .cases = denormal_cases,
                               .reference = denormal_reference,
                               .more_params = {{"one"}}}),
          .fact = "f32 denormals are kept or flushed to zero, and become nothing else",
          .symptom = "weights with tiny scales decode to garbage",
          .relied_on_by = {"gemm_*", "moe_*", "quant_*", "encode_*"}};
}

std::vector<KernelCase> bits_cases() {
  return {{"words", [](Rng& rng) {
             std::vector<uint32_t> a = random_words(rng, 1009);
             // No denormals and no NaN: drivers may flush the ones and quieten the others.
             for (uint32_t& word : a) word = (word & 0xbfffffffu) | 0x20000000u;
             a[0] = 0x80000000u;
             a[1] = 0;
             return element_case(1009, {a}, {1009, 1009});
           }}};
}

std::vector<Expected> bits_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  Expected z{.binding = 2};
  for (const uint32_t word : a) z.words.push_back(word ^ 0x80000000u);
  return {{.binding = 1, .words = a}, z};
}

Probe bits() {
  return {.spec = per_element({.name = "probe_f32_bits",
                               .text = conformance_text("probes/f32_bits.kernel"),
                               .formula = "y = as_u32(as_f32(a)), z = as_f32(a ^ sign)",
                               .bindings = {input("a", kU32), output("y", kU32), output("z", kF32)},
                               .cases = bits_cases,
                               .reference = bits_reference}),
          .fact = "as_f32 and as_u32 keep all bits, the sign of zero too",
          .symptom = "weights and scales put together from bits are wrong",
          .relied_on_by = {"*fp8*", "*fp4*", "*bf16*", "encode_*", "quant_*", "attention_*"}};
}

}  // namespace

std::vector<Probe> special_probes() {
  return {f16_unpack(false), f16_unpack(true), extremes(), compare(), infinity(), not_a_number(), denormals(), bits()};
}

}  // namespace nibble::conformance
