// Arithmetic of f32: one operation each, so that a kernel that fails points to it.
#include <bit>
#include <cmath>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr uint32_t kCount = 3001;
constexpr ElementType kF32 = ElementType::kF32;

template <int kLow, int kHigh>
std::vector<KernelCase> one_input() {
  return {{"positive", [](Rng& rng) {
             std::vector<float> a = wide_floats(rng, kCount, kLow, kHigh);
             for (float& value : a) value = std::fabs(value);
             return element_case(kCount, {bits_of(a)}, {kCount});
           }}};
}

template <size_t kInputs, size_t kOutputs, int kLow, int kHigh>
std::vector<KernelCase> several_inputs() {
  return {{"both_signs", [](Rng& rng) {
             std::vector<std::vector<uint32_t>> inputs;
             for (size_t i = 0; i < kInputs; ++i) inputs.push_back(bits_of(wide_floats(rng, kCount, kLow, kHigh)));
             return element_case(kCount, inputs, std::vector<size_t>(kOutputs, kCount));
           }}};
}

// Exponents that overlap by a few bits, so that every kind of rounding happens, and halves of the last place.
std::vector<KernelCase> add_cases() {
  std::vector<KernelCase> cases = several_inputs<2, 2, -12, 13>();
  cases.push_back({"ties", [](Rng& rng) {
                     std::vector<float> a;
                     std::vector<float> b;
                     for (uint32_t i = 0; i < kCount; ++i) {
                       a.push_back(static_cast<float>((1u << 23) + rng.below(1u << 23)));
                       b.push_back(0.5f * static_cast<float>(1 + 2 * rng.below(4)));
                     }
                     return element_case(kCount, {bits_of(a), bits_of(b)}, {kCount, kCount});
                   }});
  return cases;
}

template <typename F>
std::vector<uint32_t> map2(const CaseData& data, F&& f) {
  const auto a = floats_in(data, 0);
  const auto b = floats_in(data, 1);
  std::vector<uint32_t> words;
  for (size_t i = 0; i < a.size(); ++i) words.push_back(std::bit_cast<uint32_t>(static_cast<float>(f(a[i], b[i]))));
  return words;
}

// In double: the sum of floats that are 2^25 apart at most is exact, as is every product.
std::vector<Expected> add_reference(const CaseData& data) {
  return {{.binding = 2, .words = map2(data, [](double a, double b) { return a + b; })},
          {.binding = 3, .words = map2(data, [](double a, double b) { return a - b; })}};
}
std::vector<Expected> multiply_reference(const CaseData& data) {
  return {{.binding = 2, .words = map2(data, [](double a, double b) { return a * b; })}};
}

std::vector<Expected> multiply_add_reference(const CaseData& data) {
  const auto a = floats_in(data, 0);
  const auto b = floats_in(data, 1);
  const auto c = floats_in(data, 2);
  std::vector<uint32_t> once;
  std::vector<uint32_t> twice;
  for (size_t i = 0; i < a.size(); ++i) {
    once.push_back(std::bit_cast<uint32_t>(std::fma(a[i], b[i], c[i])));
    const auto product = static_cast<float>(double{a[i]} * b[i]);
    twice.push_back(std::bit_cast<uint32_t>(static_cast<float>(double{product} + c[i])));
  }
  return {either(3, once, twice)};
}

template <double (*kFunction)(double)>
std::vector<Expected> function_reference(const CaseData& data) {
  Expected y{.binding = 1};
  for (const float a : floats_in(data, 0)) y.values.push_back(kFunction(a));
  return {y};
}

double inverse_root(double x) { return 1 / std::sqrt(x); }
double root(double x) { return std::sqrt(x); }

std::vector<KernelCase> exponential_cases() {
  return {{"down_to_-80", [](Rng& rng) {
             std::vector<float> a = {0.0f, -0.0f, 1.0f, -1.0f};
             while (a.size() < kCount) a.push_back(static_cast<float>(rng.uniform(-80, 40)));
             return element_case(kCount, {bits_of(a)}, {kCount});
           }}};
}

// 3 + 2|x| units in the last place are what Vulkan promises; OpenCL promises 3.
std::vector<Expected> exponential_reference(const CaseData& data) {
  Expected y{.binding = 1};
  for (const float a : floats_in(data, 0)) {
    y.values.push_back(std::exp(double{a}));
    y.slack.push_back((3 + 2 * std::fabs(double{a})) * 0x1p-23 * y.values.back());
  }
  return {y};
}

std::vector<Expected> divide_reference(const CaseData& data) {
  const auto a = floats_in(data, 0);
  const auto b = floats_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); ++i) y.values.push_back(double{a[i]} / b[i]);
  return {y};
}

std::vector<KernelCase> dot_cases() {
  return {{"both_signs", [](Rng& rng) {
             const auto a = bits_of(wide_floats(rng, 4 * kCount, -4, 5));
             const auto b = bits_of(wide_floats(rng, 4 * kCount, -4, 5));
             return element_case(kCount, {a, b}, {kCount});
           }}};
}

std::vector<Expected> dot_reference(const CaseData& data) {
  const auto a = floats_in(data, 0);
  const auto b = floats_in(data, 1);
  Expected y{.binding = 2};
  for (size_t i = 0; i < a.size(); i += 4) {
    double sum = 0;
    double magnitude = 0;
    for (size_t k = i; k < i + 4; ++k) {
      sum += double{a[k]} * b[k];
      magnitude += std::fabs(double{a[k]} * b[k]);
    }
    y.values.push_back(sum);
    y.scales.push_back(magnitude);
  }
  return {y};
}

Probe add() {
  return {.spec = per_element({.name = "probe_f32_add",
                               .text = conformance_text("probes/f32_add.kernel"),
                               .formula = "y = a + b, z = a - b",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kF32), output("z", kF32)},
                               .cases = add_cases,
                               .reference = add_reference}),
          .fact = "f32 sums and differences are rounded to the nearest, ties to even",
          .symptom = "every kernel is a little off, long sums drift",
          .relied_on_by = {"*"}};
}

Probe multiply() {
  return {.spec = per_element({.name = "probe_f32_multiply",
                               .text = conformance_text("probes/f32_multiply.kernel"),
                               .formula = "y = a * b",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kF32)},
                               .cases = several_inputs<2, 1, -30, 31>,
                               .reference = multiply_reference}),
          .fact = "f32 products are rounded to the nearest, ties to even",
          .symptom = "every kernel is a little off; FP8 rounding of activations picks a wrong code now and then",
          .relied_on_by = {"*"}};
}

Probe multiply_add(bool is_call) {
  return {.spec = per_element({.name = is_call ? "probe_f32_fma" : "probe_f32_multiply_add",
                               .text = is_call ? conformance_text("probes/f32_fma.kernel")
                                               : conformance_text("probes/f32_multiply_add.kernel"),
                               .formula = "y = a * b + c",
                               .bindings = {input("a", kF32), input("b", kF32), input("c", kF32), output("y", kF32)},
                               .cases = several_inputs<3, 1, -6, 7>,
                               .reference = multiply_add_reference,
                               .tolerance = {.eps = 0, .why = "one of the two ways of rounding"}}),
          .fact = is_call ? "fma() rounds once, or the product and then the sum"
                          : "a * b + c rounds the product and the sum, or, contracted, only the sum",
          .symptom = "dot products are off by more than their tolerance",
          .relied_on_by = {"gemm_*", "moe_*", "attention_*", "hc_*", "indexer_*", "compress_*"}};
}

Probe divide() {
  return {.spec = per_element({.name = "probe_f32_divide",
                               .text = conformance_text("probes/f32_divide.kernel"),
                               .formula = "y = a / b",
                               .bindings = {input("a", kF32), input("b", kF32), output("y", kF32)},
                               .cases = several_inputs<2, 1, -30, 31>,
                               .reference = divide_reference,
                               .tolerance = {.eps = 2.5, .why = "2.5 ulp in both APIs"}}),
          .fact = "f32 quotients are within 2.5 units in the last place",
          .symptom = "softmax, sigmoid and normalisations are off",
          .relied_on_by = {"attention_*", "moe_*", "gate_*", "hc_*", "swiglu_*", "compress_*", "rms_*"}};
}

Probe square_root() {
  return {.spec = per_element({.name = "probe_f32_square_root",
                               .text = conformance_text("probes/f32_square_root.kernel"),
                               .formula = "y = sqrt(a)",
                               .bindings = {input("a", kF32), output("y", kF32)},
                               .cases = one_input<-60, 61>,
                               .reference = function_reference<root>,
                               .tolerance = {.eps = 4.5, .why = "Vulkan: 1/inversesqrt, 2 + 2.5 ulp; OpenCL: 3"}}),
          .fact = "sqrt is within 4.5 units in the last place",
          .symptom = "gate scores and normalisations are off",
          .relied_on_by = {"gate_*", "hc_*", "rms_*", "attention_*"}};
}

Probe inverse_square_root() {
  return {.spec = per_element({.name = "probe_f32_inverse_square_root",
                               .text = conformance_text("probes/f32_inverse_square_root.kernel"),
                               .formula = "y = 1 / sqrt(a)",
                               .bindings = {input("a", kF32), output("y", kF32)},
                               .cases = one_input<-60, 61>,
                               .reference = function_reference<inverse_root>,
                               .tolerance = {.eps = 2, .why = "2 ulp in both APIs"}}),
          .fact = "inversesqrt is within 2 units in the last place",
          .symptom = "normalised rows are off by a common factor",
          .relied_on_by = {"rms_*", "hc_*"}};
}

Probe exponential() {
  return {.spec = per_element({.name = "probe_f32_exponential",
                               .text = conformance_text("probes/f32_exponential.kernel"),
                               .formula = "y = exp(a)",
                               .bindings = {input("a", kF32), output("y", kF32)},
                               .cases = exponential_cases,
                               .reference = exponential_reference,
                               .tolerance = {.eps = 0, .why = "3 + 2|x| ulp, given per element"}}),
          .fact = "exp is within 3 + 2|x| units in the last place",
          .symptom = "softmax, sigmoid and softplus are off",
          .relied_on_by = {"attention_*", "moe_*", "gate_*", "hc_*", "swiglu_*", "compress_*"}};
}

Probe dot() {
  return {.spec = per_element(
              {.name = "probe_f32_dot",
               .text = conformance_text("probes/f32_dot.kernel"),
               .formula = "y = Σ_k a_k b_k over four",
               .bindings = {input("a", ElementType::kF32x4), input("b", ElementType::kF32x4), output("y", kF32)},
               .cases = dot_cases,
               .reference = dot_reference,
               .tolerance = {.eps = 4, .why = "four products and three sums in any order"}}),
          .fact = "dot of two vec4 is the sum of their products",
          .symptom = "matrix products of the variants for wide processors are wrong",
          .relied_on_by = {"*texels*", "gemm_*", "moe_*", "attention_*", "indexer_*"}};
}

}  // namespace

std::vector<Probe> float_probes() {
  return {add(),    multiply(),    multiply_add(false),   multiply_add(true),
          divide(), square_root(), inverse_square_root(), exponential(),
          dot()};
}

}  // namespace nibble::conformance
