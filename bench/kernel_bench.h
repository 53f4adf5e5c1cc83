// `nibble bench kernel`: every kernel of the table, in every variant that the device has, at real shapes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/kernel_problem.h"
#include "bench/measure.h"

namespace nibble::bench {

struct KernelBenchOptions {
  std::vector<std::string> kernels;   // names or beginnings of names; empty: all
  std::vector<std::string> variants;  // empty: all that the device can run
  std::vector<uint32_t> tokens = {1, 64};
  ProblemRequest request;  // position and overrides
  MeasureOptions measure;
  uint64_t cold_bytes = uint64_t{192} << 20;  // that copies of the inputs must exceed together
  bool baseline = true;                       // on OpenCL: dense products by CLBlast beside ours
  uint32_t experts = 24;                      // of the moe kernels: all 256 would take gigabytes
};

// The kernels that `names` mean, in the order of the table. Throws kUsage for a name that means none.
std::vector<const KernelSpec*> select_kernels(const std::vector<std::string>& names);

// Throws kUsage if an override names no param of any of `kernels`.
void check_overrides(const std::vector<const KernelSpec*>& kernels, const ProblemRequest& request);

// The variants of a kernel that a device can run, for the cpu those of its instruction sets.
std::vector<std::string> variants_on(const KernelSpec& kernel, const DeviceInfo& info);

// Opens the device anew with every kernel that has it forced to a variant.
using OpenForced = std::function<std::unique_ptr<Device>(const std::string& variant)>;

struct KernelBenchSinks {
  std::function<void(const Row&)> row;
  std::function<void(const std::string&)> skipped;  // one line: what and why
};

std::vector<Row> run_kernel_bench(const OpenForced& open, Ceilings& ceilings, const DeviceInfo& info,
                                  const KernelBenchOptions& options, const KernelBenchSinks& sinks);

}  // namespace nibble::bench
