// Short names of drivers: for tests, and for the files that keep what is expected of them.
#pragma once

#include <string>

#include "runtime/core/device_info.h"

namespace nibble::conformance {

// "lavapipe", "swiftshader", "pocl", "oclgrind", "cpu"; for other drivers their name in lower-case letters, digits
// and _ ("nvidia", "radv_mesa").
std::string driver_label(const DeviceInfo& info);

// The label of Oclgrind, which simulates a device.
inline constexpr std::string_view kSimulatorLabel = "oclgrind";

}  // namespace nibble::conformance
