// Backend: one API's way to list and open devices. The three are defined under runtime/cpu, runtime/vulkan and
// runtime/opencl; this layer only names them, so no include points up.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/open_device.h"

namespace nibble {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendKind kind() const = 0;
  // Devices in the API's order with duplicates (same driver, same UUID) removed; ids "vulkan:0", "vulkan:1", …
  // Limits and disabled capabilities of `options` are already applied. Null devices (heap 0) are listed with
  // DeviceType::kNull. Throws kUnsupported with a one-line reason when the API is not there.
  virtual std::vector<DeviceInfo> list(const DeviceOptions& options) = 0;
  // `index` as in list().
  virtual std::unique_ptr<Device> open(size_t index, const DeviceOptions& options) = 0;
};

Backend& cpu_backend();
Backend& vulkan_backend();
Backend& opencl_backend();

}  // namespace nibble
