#include "tools/offline/report.h"

#include "runtime/base/error.h"
#include "runtime/base/shell_pattern.h"
#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"

namespace nibble::offline {
namespace {

constexpr Target kTargets[] = {
    {"vega10", Vendor::kAmd},   {"navi21", Vendor::kAmd, true}, {"gfx1100", Vendor::kAmd, true},
    {"sm_75", Vendor::kNvidia}, {"sm_86", Vendor::kNvidia},     {"sm_90", Vendor::kNvidia},
    {"dg2", Vendor::kIntel},
};

}  // namespace

std::span<const Target> all_targets() { return kTargets; }

const Target& find_target(std::string_view name) {
  std::string known;
  for (const Target& target : kTargets) {
    if (target.name == name) return target;
    known += known.empty() ? "" : ", ";
    known += target.name;
  }
  fail(ErrorCode::kUsage, "--target: unknown target '{}', expected one of {}", name, known);
}

std::vector<KernelChoice> choose_kernels(const std::string& pattern, bool wide_cpu) {
  std::vector<KernelChoice> choices;
  for (const KernelSpec* kernel : kernel_table()) {
    for (const Variant& variant : kernel->variants) {
      if ((variant.for_wide_cpu && !wide_cpu) || variant.min_rows == kNeverChosen) continue;
      const bool wanted =
          matches_pattern(kernel->name, pattern) || matches_pattern(qualified_name(*kernel, variant), pattern);
      if (wanted) choices.push_back({.kernel = kernel, .variant = &variant});
    }
  }
  if (choices.empty()) fail(ErrorCode::kUsage, "--kernel: no kernel matches '{}'", pattern);
  return choices;
}

}  // namespace nibble::offline
