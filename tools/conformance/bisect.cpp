#include "tools/conformance/bisect.h"

#include <algorithm>

#include <fmt/format.h>

namespace nibble::conformance {
namespace {

constexpr size_t kMostKernels = 5;

std::vector<std::string> failing_kernels(const DeviceReport& device) {
  std::vector<std::string> kernels;
  for (const Row& row : device.rows) {
    if (row.is_unexpected && std::ranges::find(kernels, row.kernel) == kernels.end()) kernels.push_back(row.kernel);
  }
  return kernels;
}

std::vector<Capability> abilities_of(const DeviceReport& device) {
  std::vector<Capability> abilities;
  for (const std::string& name : device.capabilities) abilities.push_back(capability_from_name(name));
  return abilities;
}

// Whether any row of the kernel fails without these abilities. What then is unsupported is not run, and does not fail.
bool fails(const RunOptions& options, const std::string& device, const std::string& kernel,
           const std::vector<Capability>& without) {
  RunOptions again = options;
  again.repro_directory.clear();
  again.is_reducing = false;
  again.devices = {device};
  again.plan.kernel = kernel;
  for (const Capability capability : without) again.device_options.disabled.push_back(capability);
  const Report report = run(again, [](const DeviceReport&, size_t, size_t) {});
  return std::ranges::any_of(report.devices.at(0).rows, [](const Row& row) {
    const Verdict verdict = row.result.verdict;
    return verdict != Verdict::kPass && verdict != Verdict::kUnsupported && verdict != Verdict::kSkipped;
  });
}

std::string describe(const std::vector<Capability>& set) {
  std::vector<std::string_view> names;
  for (const Capability capability : set) names.push_back(name_of(capability));
  return fmt::format("--disable {}", fmt::join(names, ","));
}

std::string bisect_kernel(const RunOptions& options, const DeviceReport& device, const std::string& kernel) {
  std::vector<Capability> needed = abilities_of(device);
  if (!fails(options, device.id, kernel, {})) return "does not fail again";
  if (fails(options, device.id, kernel, needed)) return "fails whatever is disabled";
  // One switch after the other is put back; those without which it fails again stay.
  for (const Capability capability : abilities_of(device)) {
    std::vector<Capability> fewer = needed;
    std::erase(fewer, capability);
    if (!fails(options, device.id, kernel, fewer)) needed = std::move(fewer);
  }
  return "vanishes with " + describe(needed);
}

}  // namespace

void bisect(Report& report, const RunOptions& options) {
  for (DeviceReport& device : report.devices) {
    std::vector<std::string> kernels = failing_kernels(device);
    if (kernels.size() > kMostKernels) {
      device.notices.push_back(
          fmt::format("bisected are the first {} of {} failing kernels", kMostKernels, kernels.size()));
      kernels.resize(kMostKernels);
    }
    for (const std::string& kernel : kernels) {
      device.notices.push_back(fmt::format("{}: {}", kernel, bisect_kernel(options, device, kernel)));
    }
  }
}

}  // namespace nibble::conformance
