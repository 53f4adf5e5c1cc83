// Runs a kernel's cases on a device and compares with the spec's reference. Inputs lie in the middle of larger buffers
// whose surroundings are checked afterwards, outputs start as NaN, slabs are cut at random, and every case runs twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device/open_device.h"
#include "tools/conformance/compare.h"
#include "tools/conformance/guarded_binding.h"
#include "tools/conformance/verdict.h"

namespace nibble::conformance {

struct CaseOptions {
  uint64_t seed = 0;
  // Slab bindings are cut into 1 to `max_slabs` pieces; each combination is a kernel of its own that a driver compiles
  // for seconds. 0: always two.
  uint32_t max_slabs = 3;
  uint32_t runs = 2;
  bool views_overlap_guards = false;  // on Vulkan, whose drivers may clamp accesses to a view
};

// A case with its buffers on a device, not recorded yet.
struct PreparedCase {
  CaseData data;
  std::vector<GuardedBinding> bindings;  // those of the spec in order, without the kStep one
  Dispatch dispatch;
  std::vector<Expected> expected;
};

// A variant as a row names it: "gemv_subgroups", or "gemv_subgroups@16" with subgroups of 16 invocations.
struct VariantRun {
  std::string name;
  uint32_t subgroup_size = 0;
};
VariantRun parse_variant(const std::string& text);

// One driver under test: its devices are opened once per forced variant and keep their compiled kernels.
// Single-threaded.
class CaseRunner {
 public:
  CaseRunner(std::string device_id, DeviceOptions options)
      : device_id_(std::move(device_id)), options_(std::move(options)) {}

  const DeviceInfo& info();
  // Names of the variants of `kernel` that this device can run.
  std::vector<std::string> variants_of(const KernelSpec& kernel);
  // Throws what the device throws.
  CaseResult run(const KernelSpec& kernel, const std::string& variant, const KernelCase& kernel_case,
                 const CaseOptions& options);

  // The two halves of run(). The first compiles nothing and submits no kernel. `failed` is called after the first run
  // that is not as expected, while the buffers hold what it left.
  PreparedCase prepare(const KernelSpec& kernel, const std::string& variant, const KernelCase& kernel_case,
                       const CaseOptions& options);
  CaseResult run(const PreparedCase& prepared, const std::string& variant, uint32_t runs,
                 const std::function<void()>& failed = nullptr);

  // The device that runs `variant` (as a row names it) of every kernel that has one of that name.
  Device& device_for(const std::string& variant);

 private:
  std::string device_id_;
  DeviceOptions options_;
  std::map<std::string, std::unique_ptr<Device>> devices_;  // by forced variant
};

}  // namespace nibble::conformance
