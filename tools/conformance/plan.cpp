#include "tools/conformance/plan.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/base/shell_pattern.h"
#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"
#include "runtime/cpu/cpu_features.h"
#include "shaders/common/odd_cases.h"
#include "tools/conformance/driver_label.h"
#include "tools/conformance/probe.h"

namespace nibble::conformance {
namespace {

constexpr size_t kQuickCases = 5;
constexpr size_t kQuickOddCases = 2;
// Far apart, so that case i of one round does not get the inputs of case i + 1 of another.
constexpr std::array<uint64_t, 3> kFullSeeds = {0, 1'000'003, 2'000'003};

// A way to run a kernel, and what the device lacks for it ("" if nothing).
struct VariantChoice {
  std::string name;
  std::string missing;
};

std::string missing_for(const Variant& variant, const DeviceInfo& info) {
  std::vector<std::string> missing;
  for (size_t i = 0; i < static_cast<size_t>(Capability::kCount); ++i) {
    const auto capability = static_cast<Capability>(i);
    const bool needed =
        variant.requires_.has(capability) || (capability == Capability::kTexelBuffers && !variant.texels.empty());
    if (needed && !info.capabilities.has(capability)) missing.emplace_back(name_of(capability));
  }
  if (variant.workgroup > info.limits.max_workgroup_size) {
    missing.push_back(fmt::format("workgroups of {} (at most {})", variant.workgroup, info.limits.max_workgroup_size));
  }
  return fmt::format("{}", fmt::join(missing, ", "));
}

std::vector<VariantChoice> variants_on_cpu(const DeviceInfo& info, const KernelSpec& kernel) {
  std::vector<VariantChoice> choices;
  for (const CpuKernel& implementation : cpu_kernels_of(kernel.name)) {
    const bool is_there = implementation.isa <= cpu_isa_of(info.capabilities);
    choices.push_back({std::string(implementation.variant), is_there ? "" : std::string(name_of(implementation.isa))});
  }
  return choices;
}

// Full runs: a text that adds up by subgroups is right at every size of them, whichever the driver takes. Those for
// drivers on the host's processor are written for its size.
void add_subgroup_sizes(const Variant& variant, const DeviceInfo& info, std::vector<VariantChoice>& choices) {
  if (!variant.requires_.has(Capability::kSubgroups) || variant.for_wide_cpu || info.smallest_subgroup == 0) return;
  for (uint32_t size = info.smallest_subgroup; size <= info.largest_subgroup; size *= 2) {
    if (size != info.subgroup_size) choices.push_back({fmt::format("{}@{}", variant.name, size), ""});
  }
}

// Variants written for another API are not rows: no device of this one could ever run them.
std::vector<VariantChoice> variants_on(const DeviceInfo& info, const KernelSpec& kernel, bool full) {
  if (info.backend == BackendKind::kCpu) return variants_on_cpu(info, kernel);
  const Dialect spoken = info.backend == BackendKind::kVulkan ? Dialect::kGlsl : Dialect::kOpenCl;
  std::vector<VariantChoice> choices;
  for (const Variant& variant : kernel.variants) {
    const bool is_foreign =
        (variant.dialect && *variant.dialect != spoken) || (spoken == Dialect::kOpenCl && !variant.texels.empty());
    if (is_foreign) continue;
    choices.push_back({std::string(variant.name), missing_for(variant, info)});
    if (full && choices.back().missing.empty()) add_subgroup_sizes(variant, info, choices);
  }
  return choices;
}

bool fits(const std::string& pattern, const KernelSpec& kernel, std::string_view variant) {
  return matches_pattern(kernel.name, pattern) || matches_pattern(fmt::format("{}__{}", kernel.name, variant), pattern);
}

// `most` of the indices [begin, end), evenly spread.
void choose(std::vector<size_t>& chosen, size_t begin, size_t end, size_t most) {
  const size_t count = std::min(most, end - begin);
  for (size_t i = 0; i < count; ++i) chosen.push_back(begin + i * (end - begin) / count);
}

// Of `count` cases, of which all from `odd` on have odd values among their inputs.
std::vector<size_t> chosen_cases(size_t count, size_t odd, bool full) {
  std::vector<size_t> chosen;
  choose(chosen, 0, odd, full ? count : kQuickCases);
  choose(chosen, odd, count, full ? count : kQuickOddCases);
  return chosen;
}

// A probe's cases are what it asks, odd values included.
std::vector<KernelCase> cases_of(const KernelSpec& kernel) {
  return find_probe(kernel.name) != nullptr ? kernel.cases() : spec::all_cases(kernel);
}

// A simulator makes some hundred thousand multiply-adds a second: one case of a variant, made so small that loops still
// go round more than once. A case whose sizes cannot be lowered is run as it is.
constexpr uint32_t kSimulatedUnits = 3;

std::vector<uint32_t> simulated_sizes(const KernelCase& kernel_case) {
  std::vector<uint32_t> sizes;
  for (const CaseSize& size : kernel_case.sizes) {
    sizes.push_back(std::min(size.value, size.multiple * kSimulatedUnits));
  }
  return sizes;
}

void add_rows(std::vector<Row>& rows, const DeviceInfo& info, const KernelSpec& kernel, const PlanOptions& options) {
  const std::vector<KernelCase> cases = cases_of(kernel);
  const size_t odd = kernel.cases().size();
  const bool simulated = is_simulator(driver_label(info));
  for (const VariantChoice& variant : variants_on(info, kernel, options.full)) {
    if (!fits(options.kernel, kernel, parse_variant(variant.name).name)) continue;
    Row row{.kernel = std::string(kernel.name), .variant = variant.name, .case_name = std::string(kAllCases)};
    if (!variant.missing.empty()) {
      row.result = {.verdict = Verdict::kUnsupported, .message = "needs " + variant.missing};
      rows.push_back(row);
      continue;
    }
    for (size_t round = 0; round < (options.full ? kFullSeeds.size() : 1); ++round) {
      for (const size_t i : chosen_cases(cases.size(), odd, options.full)) {
        row.case_name = cases[i].name;
        row.case_index = static_cast<uint32_t>(i);
        row.seed = options.seed + kFullSeeds[round] + i;
        if (simulated) row.sizes = simulated_sizes(cases[i]);
        rows.push_back(row);
        if (simulated && !options.full) break;
      }
    }
  }
}

std::vector<const KernelSpec*> all_kernels(const std::function<bool(const Probe&)>& wants) {
  std::vector<const KernelSpec*> all;
  for (const Probe& probe : probes()) {
    if (wants(probe)) all.push_back(&probe.spec);
  }
  for (const KernelSpec* kernel : kernel_table()) all.push_back(kernel);
  return all;
}

}  // namespace

const KernelSpec& find_kernel_or_probe(std::string_view name) {
  const Probe* probe = find_probe(name);
  return probe != nullptr ? probe->spec : find_kernel(name);
}

void require_match(const std::string& pattern) {
  for (const KernelSpec* kernel : all_kernels([](const Probe&) { return true; })) {
    for (const Variant& variant : kernel->variants) {
      if (fits(pattern, *kernel, variant.name)) return;
    }
    for (const CpuKernel& implementation : cpu_kernels_of(kernel->name)) {
      if (fits(pattern, *kernel, implementation.variant)) return;
    }
  }
  fail(ErrorCode::kUsage, "--kernel {}: no kernel, kernel__variant or probe is called so", pattern);
}

std::vector<Row> plan_rows(const DeviceInfo& info, const PlanOptions& options) {
  std::vector<Row> rows;
  const bool simulated = is_simulator(driver_label(info));
  const auto wants = [&](const Probe& probe) {
    // Whole programs take a simulator minutes.
    if (simulated && probe.run != nullptr) return false;
    return options.full || !probe.takes_much_memory;
  };
  for (const KernelSpec* kernel : all_kernels(wants)) add_rows(rows, info, *kernel, options);
  return rows;
}

KernelCase case_of(const KernelSpec& kernel, const Row& row) {
  const std::vector<KernelCase> cases = cases_of(kernel);
  check(row.case_index < cases.size() && cases[row.case_index].name == row.case_name, "{} is not case {} of its kernel",
        row.name(), row.case_index);
  KernelCase found = cases[row.case_index];
  if (row.sizes.empty()) return found;
  check(row.sizes.size() == found.sizes.size(), "{} has {} sizes, {} were given", row.name(), found.sizes.size(),
        row.sizes.size());
  for (size_t i = 0; i < row.sizes.size(); ++i) found.sizes[i].value = row.sizes[i];
  found.make = [resized = found.resized, sizes = row.sizes](Rng& rng) { return resized(rng, sizes); };
  return found;
}

CaseOptions case_options(const Row& row, bool full) {
  // The first case and probes have views of just their content, so that a driver that clamps too early shows too.
  return {.seed = row.seed,
          .max_slabs = full ? 3u : 0u,
          .runs = full ? 3u : 2u,
          .views_overlap_guards = row.case_index > 0 && !row.is_probe()};
}

}  // namespace nibble::conformance
