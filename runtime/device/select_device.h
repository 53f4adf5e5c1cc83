// What a device's name means: pure functions of the devices that were found.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "runtime/device/open_device.h"

namespace nibble {

// Whether the name can mean a device of this API: "opencl:0" leaves Vulkan's drivers alone, and "cpu" all drivers.
bool may_mean(std::string_view name, BackendKind api);

}  // namespace nibble
