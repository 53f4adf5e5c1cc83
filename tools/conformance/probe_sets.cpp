#include "tools/conformance/probe_sets.h"

#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace nibble::conformance {
namespace {

constexpr uint32_t kWorkgroup = 64;

Grid element_grid(std::span<const std::byte> params, const Variant& variant) {
  const uint32_t n = unpack_params<ElementParams>(params).n;
  return {.x = GridDim::constant(spec::ceil_div(n, variant.workgroup))};
}

}  // namespace

Cost no_cost(std::span<const std::byte>, const StepHeader&) { return {}; }

KernelSpec per_element(ElementProbe probe) {
  std::vector<ParamSpec> params = {{"n"}};
  params.insert(params.end(), probe.more_params.begin(), probe.more_params.end());
  return {.name = probe.name,
          .formula = probe.formula,
          .bindings = std::move(probe.bindings),
          .params = std::move(params),
          .variants = {{.name = "portable", .text = probe.text, .workgroup = kWorkgroup}},
          .grid = element_grid,
          .cases = probe.cases,
          .reference = probe.reference,
          .tolerance = probe.tolerance,
          .cost = no_cost};
}

CaseData element_case(uint32_t n, const std::vector<std::vector<uint32_t>>& inputs, const std::vector<size_t>& outputs,
                      const std::vector<uint32_t>& more_params) {
  std::vector<uint32_t> params = {n};
  params.insert(params.end(), more_params.begin(), more_params.end());
  CaseData data{.params = spec::to_bytes(params)};
  for (const std::vector<uint32_t>& words : inputs) data.bindings.push_back({.content = spec::to_bytes(words)});
  for (const size_t words : outputs) data.bindings.push_back(spec::blank(words));
  return data;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> words;
  for (const float value : values) words.push_back(std::bit_cast<uint32_t>(value));
  return words;
}

std::vector<float> floats_in(const CaseData& data, size_t binding) {
  return spec::from_bytes<float>(data.bindings.at(binding).content);
}

std::vector<uint32_t> words_in(const CaseData& data, size_t binding) {
  return spec::from_bytes<uint32_t>(data.bindings.at(binding).content);
}

std::vector<float> wide_floats(Rng& rng, size_t count, int low, int high) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    const double magnitude = std::ldexp(rng.uniform(1, 2), low + static_cast<int>(rng.below(high - low)));
    values.push_back(static_cast<float>(rng.below(2) == 0 ? magnitude : -magnitude));
  }
  return values;
}

std::vector<uint32_t> random_words(Rng& rng, size_t count) {
  std::vector<uint32_t> words;
  for (size_t i = 0; i < count; ++i) words.push_back(static_cast<uint32_t>(rng.next_u64() >> 32));
  return words;
}

Expected either(size_t binding, std::vector<uint32_t> one, std::vector<uint32_t> other) {
  Expected expected{.binding = binding};
  expected.custom = [one = std::move(one),
                     other = std::move(other)](std::span<const std::byte> bytes) -> std::optional<std::string> {
    const auto found = spec::from_bytes<uint32_t>(bytes);
    for (size_t i = 0; i < one.size(); ++i) {
      if (found.at(i) == one[i] || found[i] == other[i]) continue;
      return fmt::format("[{}] = {:#010x} ({}), want {:#010x} ({}) or {:#010x} ({})", i, found[i],
                         std::bit_cast<float>(found[i]), one[i], std::bit_cast<float>(one[i]), other[i],
                         std::bit_cast<float>(other[i]));
    }
    return std::nullopt;
  };
  return expected;
}

}  // namespace nibble::conformance
