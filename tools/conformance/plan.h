// Which rows a run has.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tools/conformance/case_runner.h"
#include "tools/conformance/report.h"

namespace nibble::conformance {

struct PlanOptions {
  std::string kernel = "*";  // shell pattern over "kernel" and "kernel__variant"
  bool full = false;
  uint64_t seed = 1;
};

// A kernel of the table or a probe. Throws kNotFound.
const KernelSpec& find_kernel_or_probe(std::string_view name);

// Throws kUsage if the pattern fits neither a kernel nor a probe.
void require_match(const std::string& pattern);

// Probes first, then the kernels; variants that the device does not support are one row with the reason. Quick: at most
// five cases of a variant, chosen evenly. Full: all cases with three seeds.
std::vector<Row> plan_rows(const DeviceInfo& info, const PlanOptions& options);

// The case of a row, at the row's sizes.
KernelCase case_of(const KernelSpec& kernel, const Row& row);

// How the case of a row is run in that mode.
CaseOptions case_options(const Row& row, bool full);

}  // namespace nibble::conformance
