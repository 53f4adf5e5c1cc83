#include "tools/conformance/case_runner.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/core/variant.h"
#include "runtime/cpu/cpu_features.h"

namespace nibble::conformance {
namespace {

// Content of every binding after one run; guard damage goes to `damage`.
Contents run_once(Device& device, Program& program, const PreparedCase& prepared, std::string& damage) {
  for (const GuardedBinding& binding : prepared.bindings) binding.upload(device);
  device.wait(device.submit(program, prepared.data.step));
  Contents contents;
  for (const GuardedBinding& binding : prepared.bindings) {
    std::optional<std::string> found;
    contents.push_back(binding.download(device, found));
    if (found && damage.empty()) damage = *found;
  }
  return contents;
}

// All runs of a recorded case.
CaseResult judge(Device& device, Program& program, uint32_t runs, const PreparedCase& prepared,
                 const std::function<void()>& failed) {
  const KernelSpec& kernel = *prepared.dispatch.kernel;
  bool is_right = true;
  std::string damage;
  std::string difference;
  Comparison compared;
  Contents first;
  std::vector<std::span<const std::byte>> before;
  for (const GuardedBinding& binding : prepared.bindings) before.push_back(binding.before());
  for (uint32_t run = 0; run < runs; ++run) {
    Contents found = run_once(device, program, prepared, damage);
    const bool is_new = run == 0 || found != first;
    if (run > 0 && is_new && difference.empty()) difference = first_difference(kernel, first, found);
    if (is_new && compared.problem.empty()) {
      compared = compare_contents(kernel, prepared.expected, before, found, flush_allowance(device.info().backend));
    }
    if (run == 0) first = std::move(found);
    const bool was_right = std::exchange(is_right, damage.empty() && difference.empty() && compared.problem.empty());
    if (was_right && !is_right && failed) failed();
  }
  CaseResult result{.worst = compared.worst, .wrong = compared.wrong, .elements = compared.elements};
  if (!difference.empty()) {
    result.verdict = Verdict::kNondeterministic;
    result.message = difference + (compared.problem.empty() ? "" : "; " + compared.problem);
  } else if (!damage.empty() || !compared.problem.empty()) {
    result.verdict = Verdict::kFail;
    result.message = damage.empty() || compared.problem.empty() ? damage + compared.problem
                                                                : fmt::format("{}; {}", damage, compared.problem);
  }
  return result;
}

bool never_runs(const KernelSpec& kernel, const std::string& name, std::span<const std::byte> params) {
  return std::ranges::any_of(kernel.variants,
                             [&](const Variant& variant) { return variant.name == name && !serves(variant, params); });
}

}  // namespace

VariantRun parse_variant(const std::string& text) {
  const size_t at = text.find('@');
  if (at == std::string::npos) return {.name = text};
  return {.name = text.substr(0, at), .subgroup_size = static_cast<uint32_t>(std::stoul(text.substr(at + 1)))};
}

Device& CaseRunner::device_for(const std::string& variant) {
  std::unique_ptr<Device>& device = devices_[variant];
  if (device == nullptr) {
    DeviceOptions forced = options_;
    const VariantRun run = parse_variant(variant);
    forced.force_variant = run.name;
    if (run.subgroup_size != 0) forced.subgroup_size = run.subgroup_size;
    device = open_device(device_id_, forced);
  }
  return *device;
}

const DeviceInfo& CaseRunner::info() {
  return devices_.empty() ? device_for("portable").info() : devices_.begin()->second->info();
}

std::vector<std::string> CaseRunner::variants_of(const KernelSpec& kernel) {
  std::vector<std::string> names;
  if (device_id_ == "cpu") {
    for (const CpuKernel& implementation : cpu_kernels_of(kernel.name)) {
      if (implementation.isa <= cpu_isa_of(info().capabilities)) names.emplace_back(implementation.variant);
    }
    return names;
  }
  for (const Variant& variant : kernel.variants) {
    if (is_supported(variant, info())) names.emplace_back(variant.name);
  }
  return names;
}

PreparedCase CaseRunner::prepare(const KernelSpec& kernel, const std::string& variant, const KernelCase& kernel_case,
                                 const CaseOptions& options) {
  Device& device = device_for(variant);
  PreparedCase prepared;
  Rng rng(options.seed);
  prepared.data = kernel_case.make(rng);
  prepared.expected = kernel.reference(prepared.data);
  const uint32_t slabs = options.max_slabs == 0 ? 2 : 1 + rng.below(options.max_slabs);
  prepared.dispatch = {
      .kernel = &kernel, .params = prepared.data.params, .bindings = {}, .label = kernel_case.name, .rows = UINT32_MAX};
  const bool overlap = options.views_overlap_guards && device.info().backend == BackendKind::kVulkan;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    if (kernel.bindings[b].kind == BindingKind::kStep) continue;
    prepared.bindings.emplace_back(device, kernel.bindings[b], prepared.data.bindings.at(b), slabs, overlap, rng);
    prepared.dispatch.bindings.push_back(prepared.bindings.back().binding());
  }
  return prepared;
}

CaseResult CaseRunner::run(const KernelSpec& kernel, const std::string& variant, const KernelCase& kernel_case,
                           const CaseOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  CaseResult result = run(prepare(kernel, variant, kernel_case, options), variant, options.runs);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

CaseResult CaseRunner::run(const PreparedCase& prepared, const std::string& variant, uint32_t runs,
                           const std::function<void()>& failed) {
  const std::string name = parse_variant(variant).name;
  if (never_runs(*prepared.dispatch.kernel, name, prepared.data.params)) {
    return {.verdict = Verdict::kSkipped, .message = "the variant does not serve these params"};
  }
  Device& device = device_for(variant);
  DispatchList list;
  list.set_step_words(static_cast<uint32_t>(prepared.data.step.size()));
  list.add(prepared.dispatch);
  const auto program = device.record(list);
  const std::string ran = program->variants().at(0);
  if (!ran.ends_with("__" + name)) {
    return {.verdict = Verdict::kError, .message = fmt::format("the device ran {} instead of {}", ran, variant)};
  }
  return judge(device, *program, runs, prepared, failed);
}

}  // namespace nibble::conformance
