#include "tools/conformance/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace nibble::conformance {
namespace {

// With |x| of a few units and rows of a few thousand columns a flushed subnormal, in weights too, shows in results
// below this.
constexpr double kFlushAllowance = 0x1p-100;
constexpr double kUnit = 0x1p-23;

template <typename T>
T element(std::span<const std::byte> bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

// Keeps the element if it is the worst; true if it is the first wrong one, which is to be described.
bool count_element(Comparison& result, const WorstElement& found) {
  ++result.elements;
  const double share = found.share();
  if (!result.worst || share > result.worst->share()) result.worst = found;
  return !(share <= 1) && result.wrong++ == 0 && result.problem.empty();
}

// NaN, infinities and elements that must stay: nothing is allowed beside them. Says what is wrong, empty if nothing.
std::string special_problem(const BindingSpec& spec, size_t i, double want, uint32_t word, uint32_t before) {
  const float got = std::bit_cast<float>(word);
  if (is_anything(want)) return "";
  if (is_untouched(want)) {
    if (word == before) return "";
    return fmt::format("{}[{}] = {:#010x}, must stay as it was ({:#010x})", spec.name, i, word, before);
  }
  if (std::isnan(want)) {
    const bool is_written = spec.access != Access::kWrite || word != before;
    if (std::isnan(got) && is_written) return "";
    return fmt::format("{}[{}] = {}, want NaN", spec.name, i, is_written ? fmt::format("{}", got) : "nothing");
  }
  return got == static_cast<float>(want) ? "" : fmt::format("{}[{}] = {}, want {}", spec.name, i, got, want);
}

void compare_values(Comparison& result, const BindingSpec& spec, const Expected& want,
                    std::span<const std::byte> before, std::span<const std::byte> found, const Tolerance& tolerance,
                    double flushed) {
  for (size_t i = 0; i < want.values.size(); ++i) {
    const auto word = element<uint32_t>(found, i);
    if (!std::isfinite(static_cast<float>(want.values[i]))) {
      const auto word_before = element<uint32_t>(before, i);
      const std::string problem = special_problem(spec, i, want.values[i], word, word_before);
      const double right = problem.empty() ? double(word) : double(~word);
      if (count_element(result, {std::string(spec.name), i, double(word), right, 0, true})) result.problem = problem;
      continue;
    }
    const double allowed = allowed_error(want, i, tolerance, flushed);
    const double got = std::bit_cast<float>(word);
    const WorstElement compared{std::string(spec.name), i, got, want.values[i], allowed, false};
    if (count_element(result, compared)) {
      result.problem = fmt::format("{}[{}] = {}, want {} ± {} (off by {})", spec.name, i, got, want.values[i], allowed,
                                   std::fabs(got - want.values[i]));
    }
  }
}

void compare_words(Comparison& result, const BindingSpec& spec, const Expected& want,
                   std::span<const std::byte> found) {
  for (size_t i = 0; i < want.words.size(); ++i) {
    const auto word = element<uint32_t>(found, i);
    const WorstElement compared{std::string(spec.name), i, double(word), double(want.words[i]), 0, true};
    if (count_element(result, compared)) {
      result.problem = fmt::format("{}[{}] = {:#010x}, want {:#010x}", spec.name, i, word, want.words[i]);
    }
  }
}

void compare_output(Comparison& result, const BindingSpec& spec, const Expected& want,
                    std::span<const std::byte> before, std::span<const std::byte> found, const Tolerance& tolerance,
                    double flushed) {
  std::string problem;
  const size_t elements = found.size() / 4;
  const size_t wanted = want.words.empty() ? want.values.size() : want.words.size();
  if (want.custom) {
    result.elements += elements;
    const std::optional<std::string> said = want.custom(found);
    if (said) problem = fmt::format("{}{}", spec.name, *said);
  } else if (wanted != elements) {
    problem = fmt::format("{}: the reference has {} elements, the binding {}", spec.name, wanted, elements);
  } else if (want.words.empty()) {
    compare_values(result, spec, want, before, found, tolerance, flushed);
  } else {
    compare_words(result, spec, want, found);
  }
  if (problem.empty()) return;
  ++result.wrong;
  if (result.problem.empty()) result.problem = problem;
}

}  // namespace

double flush_allowance(BackendKind backend) { return backend == BackendKind::kCpu ? 0 : kFlushAllowance; }

double allowed_error(const Expected& want, size_t i, const Tolerance& tolerance, double flushed) {
  const double scale = want.scales.empty() ? std::fabs(want.values[i]) : want.scales[i];
  return tolerance.eps * kUnit * scale + tolerance.absolute + flushed + (want.slack.empty() ? 0 : want.slack[i]);
}

Comparison compare_contents(const KernelSpec& kernel, const std::vector<Expected>& expected,
                            const std::vector<std::span<const std::byte>>& before, const Contents& found,
                            double flushed) {
  Comparison result;
  size_t next = 0;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    const BindingSpec& spec = kernel.bindings[b];
    if (spec.kind == BindingKind::kStep) continue;
    const size_t i = next++;
    const Expected* want = nullptr;
    for (const Expected& e : expected) want = e.binding == b ? &e : want;
    std::string problem;
    if (spec.access == Access::kRead) {
      const bool same = std::ranges::equal(found[i], before[i]);
      if (!same) problem = fmt::format("{} is read-only and was changed", spec.name);
    } else if (want == nullptr) {
      problem = fmt::format("the reference says nothing about '{}'", spec.name);
    } else {
      compare_output(result, spec, *want, before[i], found[i], kernel.tolerance, flushed);
    }
    if (!problem.empty() && result.problem.empty()) result.problem = problem;
  }
  return result;
}

std::string first_difference(const KernelSpec& kernel, const Contents& one, const Contents& other) {
  size_t next = 0;
  for (const BindingSpec& spec : kernel.bindings) {
    if (spec.kind == BindingKind::kStep) continue;
    const size_t b = next++;
    for (size_t i = 0; i < one[b].size() / 4; ++i) {
      const auto a = element<uint32_t>(one[b], i);
      const auto c = element<uint32_t>(other[b], i);
      if (a != c) return fmt::format("{}[{}]: {:#010x} in one run, {:#010x} in another", spec.name, i, a, c);
    }
  }
  return "two runs gave different bits";
}

}  // namespace nibble::conformance
