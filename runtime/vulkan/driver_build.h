// Which build of a driver there is. Version texts do not always tell: a distribution's rebuild keeps them.
#pragma once

#include <string>
#include <string_view>

#include "runtime/device/open_device.h"

namespace nibble::vulkan {

// pipelineCacheUUID in hex, of the device that list_devices(options) calls `id`; "" if that is none of Vulkan's.
std::string driver_build(std::string_view id, const DeviceOptions& options);

}  // namespace nibble::vulkan
