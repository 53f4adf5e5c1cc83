// Short names of drivers: for tests, and for the files that keep what is expected of them.
#pragma once

#include <string>
#include <string_view>

#include "runtime/core/device_info.h"

namespace nibble::conformance {

// "lavapipe", "swiftshader", "pocl", "oclgrind", "cpu"; for other drivers their name in lower-case letters, digits
// and _ ("nvidia", "radv_mesa").
std::string driver_label(const DeviceInfo& info);

// Whether drivers of this label simulate a device, a thousand times slower.
inline bool is_simulator(std::string_view label) { return label == "oclgrind"; }

}  // namespace nibble::conformance
