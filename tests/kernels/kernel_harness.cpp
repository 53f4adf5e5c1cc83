#include "tests/kernels/kernel_harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/core/variant.h"
#include "runtime/cpu/cpu_features.h"
#include "tests/kernels/guarded_binding.h"

namespace nibble {
namespace {

// Devices may flush f32 subnormals to zero, in weights too: with |x| of a few units and rows of a few thousand columns
// that shows in results below this.
constexpr double kFlushAllowance = 0x1p-100;
constexpr double kUnit = 0x1p-23;
constexpr uint32_t kMaxSlabs = 3;

template <typename T>
T element(std::span<const std::byte> bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

std::string compare_values(const Expected& want, std::span<const std::byte> found, std::span<const std::byte> before,
                           const Tolerance& tolerance, double flushed) {
  for (size_t i = 0; i < want.values.size(); ++i) {
    if (std::isnan(want.values[i])) {
      if (element<uint32_t>(found, i) != element<uint32_t>(before, i)) {
        return fmt::format("[{}] = {}, must stay as it was ({})", i, element<float>(found, i),
                           element<float>(before, i));
      }
      continue;
    }
    const double scale = want.scales.empty() ? std::fabs(want.values[i]) : want.scales[i];
    const double allowed =
        tolerance.eps * kUnit * scale + tolerance.absolute + flushed + (want.slack.empty() ? 0 : want.slack[i]);
    const double got = element<float>(found, i);
    const double error = std::fabs(got - want.values[i]);
    if (!(error <= allowed)) {
      return fmt::format("[{}] = {}, want {} ± {} (off by {})", i, got, want.values[i], allowed, error);
    }
  }
  return "";
}

std::string compare(const Expected& want, std::span<const std::byte> found, std::span<const std::byte> before,
                    const Tolerance& tolerance, double flushed) {
  if (want.custom) return want.custom(found).value_or("");
  const size_t elements = found.size() / 4;
  const size_t wanted = want.words.empty() ? want.values.size() : want.words.size();
  if (wanted != elements) return fmt::format("the reference has {} elements, the binding {}", wanted, elements);
  for (size_t i = 0; i < want.words.size(); ++i) {
    const auto word = element<uint32_t>(found, i);
    if (word != want.words[i]) return fmt::format("[{}] = {:#010x}, want {:#010x}", i, word, want.words[i]);
  }
  return compare_values(want, found, before, tolerance, flushed);
}

// Content of every binding after one run; throws nothing, reports guard damage in `problem`.
std::vector<std::vector<std::byte>> run_once(Device& device, Program& program, const std::vector<uint32_t>& step,
                                             const std::vector<GuardedBinding>& bindings, std::string& problem) {
  for (const GuardedBinding& binding : bindings) binding.upload(device);
  device.wait(device.submit(program, step));
  std::vector<std::vector<std::byte>> contents;
  for (const GuardedBinding& binding : bindings) {
    std::optional<std::string> damage;
    contents.push_back(binding.download(device, damage));
    if (damage && problem.empty()) problem = *damage;
  }
  return contents;
}

std::string check_contents(const KernelSpec& kernel, const CaseData& data, const std::vector<GuardedBinding>& bindings,
                           const std::vector<std::vector<std::byte>>& found, double flushed) {
  const std::vector<Expected> expected = kernel.reference(data);
  size_t next = 0;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    const BindingSpec& spec = kernel.bindings[b];
    if (spec.kind == BindingKind::kStep) continue;
    const size_t i = next++;
    const Expected* want = nullptr;
    for (const Expected& e : expected) want = e.binding == b ? &e : want;
    if (spec.access == Access::kRead) {
      if (std::memcmp(found[i].data(), bindings[i].before().data(), found[i].size()) != 0) {
        return fmt::format("{} is read-only and was changed", spec.name);
      }
      continue;
    }
    if (want == nullptr) return fmt::format("the reference says nothing about '{}'", spec.name);
    const std::string problem = compare(*want, found[i], bindings[i].before(), kernel.tolerance, flushed);
    if (!problem.empty()) return fmt::format("{}{}", spec.name, problem);
  }
  return "";
}

bool never_runs(const KernelSpec& kernel, const std::string& name, std::span<const std::byte> params) {
  return std::any_of(kernel.variants.begin(), kernel.variants.end(),
                     [&](const Variant& variant) { return variant.name == name && !serves(variant, params); });
}

}  // namespace

Device& KernelHarness::device_for(const std::string& variant) {
  std::unique_ptr<Device>& device = devices_[variant];
  if (device == nullptr) {
    TestDevice forced = device_;
    forced.options.force_variant = variant;
    device = open_test_device(forced);
  }
  return *device;
}

std::vector<std::string> KernelHarness::variants_of(const KernelSpec& kernel) {
  std::vector<std::string> names;
  if (device_.id == "cpu") {
    for (const CpuKernel& implementation : cpu_kernels_of(kernel.name)) {
      if (implementation.isa <= detect_cpu_isa()) names.emplace_back(implementation.variant);
    }
    return names;
  }
  const DeviceInfo& info = device_for(std::string(kernel.variants.front().name)).info();
  for (const Variant& variant : kernel.variants) {
    if (is_supported(variant, info)) names.emplace_back(variant.name);
  }
  return names;
}

std::string KernelHarness::run_case(const KernelSpec& kernel, const std::string& variant, const KernelCase& kernel_case,
                                    uint64_t seed) {
  Rng rng(seed);
  const CaseData data = kernel_case.make(rng);
  if (never_runs(kernel, variant, data.params)) return "";
  Device& device = device_for(variant);
  // One cut for all slab bindings of a case: each combination is a kernel of its own that a driver compiles for
  // seconds.
  const uint32_t slabs = 1 + rng.below(kMaxSlabs);
  std::vector<GuardedBinding> bindings;
  Dispatch dispatch{
      .kernel = &kernel, .params = data.params, .bindings = {}, .label = kernel_case.name, .rows = UINT32_MAX};
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    if (kernel.bindings[b].kind == BindingKind::kStep) continue;
    bindings.emplace_back(device, kernel.bindings[b], data.bindings.at(b), slabs, rng);
    dispatch.bindings.push_back(bindings.back().binding());
  }
  DispatchList list;
  list.set_step_words(static_cast<uint32_t>(data.step.size()));
  list.add(std::move(dispatch));
  const auto program = device.record(list);
  const std::string ran = program->variants().at(0);
  if (!ran.ends_with("__" + variant)) return fmt::format("the device ran {} instead of {}", ran, variant);

  std::string problem;
  const auto first = run_once(device, *program, data.step, bindings, problem);
  const auto second = run_once(device, *program, data.step, bindings, problem);
  if (problem.empty()) {
    const double flushed = device.info().backend == BackendKind::kCpu ? 0 : kFlushAllowance;
    problem = check_contents(kernel, data, bindings, first, flushed);
  }
  if (problem.empty() && first != second) problem = "two runs gave different bits";
  if (problem.empty()) return "";
  return fmt::format("{} {}__{} case '{}': {}", device_.label, kernel.name, variant, kernel_case.name, problem);
}

}  // namespace nibble
