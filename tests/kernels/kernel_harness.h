// Runs a kernel's cases on a device and compares with the spec's reference. Inputs lie in the middle of larger buffers
// whose surroundings are checked afterwards, outputs start as NaN, slabs are cut at random, and every case runs twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "tests/support/test_devices.h"

namespace nibble {

// One driver under test: its devices are opened once per forced variant and keep their compiled kernels.
class KernelHarness {
 public:
  explicit KernelHarness(TestDevice device) : device_(std::move(device)) {}

  const std::string& device_label() const { return device_.label; }
  // Names of the variants of `kernel` that this device can run.
  std::vector<std::string> variants_of(const KernelSpec& kernel);
  // Runs one case; an empty string, or one line that says what is wrong where. Cases of params that the variant does
  // not serve are left out.
  std::string run_case(const KernelSpec& kernel, const std::string& variant, const KernelCase& kernel_case,
                       uint64_t seed);

 private:
  Device& device_for(const std::string& variant);

  TestDevice device_;
  std::map<std::string, std::unique_ptr<Device>> devices_;  // by forced variant
};

}  // namespace nibble
