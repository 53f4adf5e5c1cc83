// Which devices tests run on: the cpu, and every Vulkan and OpenCL device that is installed, SwiftShader's driver
// included where Chromium brought it.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/device/open_device.h"

namespace nibble {

struct TestDevice {
  std::string label;  // "cpu", "lavapipe", "swiftshader", "pocl"; letters, digits and _ only
  std::string id;     // for open_device: "vulkan:0"
  DeviceOptions options;
};
std::ostream& operator<<(std::ostream& out, const TestDevice& device);

// The devices, found once per process; narrowed by the flags of run_device_tests().
const std::vector<TestDevice>& test_devices();
std::unique_ptr<Device> open_test_device(const TestDevice& device);

// Whether buffers of the device may lie in files in `directory`. A driver that pins imported memory refuses pages of a
// file though it announces Capability::kHostImport.
bool takes_files(Device& device, const std::string& directory);

// main() of test programs that use devices. Flags, read before googletest's own: --device=LABEL or ID (repeatable),
// --limit=KEY=VALUE (repeatable; lowers a limit of every device), --validation (Vulkan only, layers on), --shuffle
// (dispatches between two barriers in random order), --as-gpu (software drivers run what is meant for GPUs). Prints the
// devices found; returns 77 when none of those asked for is there. Where the environment variable
// NIBBLE_REQUIRE_DRIVERS is set, a missing lavapipe, SwiftShader or PoCL is a failure instead.
int run_device_tests(int argc, char** argv);

}  // namespace nibble
