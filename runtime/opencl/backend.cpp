// The OpenCL backend: what runtime/device knows of this folder.
#include "runtime/device/backend.h"

#include "runtime/base/host_memory.h"
#include "runtime/opencl/opencl_device.h"
#include "runtime/opencl/platform.h"

namespace nibble {
namespace {

DeviceInfo describe(const opencl::PlatformDevice& found, size_t index, const DeviceOptions& options) {
  DeviceInfo info = opencl::make_device_info(found.facts, index, available_host_memory());
  for (const std::string& limit : options.limits) apply_limit(info, limit);
  for (const Capability capability : options.disabled) info.capabilities.remove(capability);
  if (options.as_gpu) treat_as_gpu(info);
  return info;
}

class OpenClBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kOpenCl; }

  std::vector<DeviceInfo> list(const DeviceOptions& options) override {
    const std::vector<opencl::PlatformDevice> found = opencl::find_devices();
    std::vector<DeviceInfo> infos;
    for (size_t i = 0; i < found.size(); ++i) infos.push_back(describe(found[i], i, options));
    return infos;
  }

  std::unique_ptr<Device> open(size_t index, const DeviceOptions& options) override {
    const std::vector<opencl::PlatformDevice> found = opencl::find_devices();
    if (index >= found.size()) {
      fail(ErrorCode::kNotFound, "no device 'opencl:{}': OpenCL shows {}", index, found.size());
    }
    const std::string reason = opencl::unusable_reason(found[index].facts);
    if (!reason.empty()) {
      fail(ErrorCode::kUnsupported, "device 'opencl:{}' ({}) cannot be used: {}", index, found[index].facts.name,
           reason);
    }
    return std::make_unique<opencl::OpenClDevice>(found[index], describe(found[index], index, options), options);
  }
};

}  // namespace

Backend& opencl_backend() {
  static OpenClBackend backend;
  return backend;
}

}  // namespace nibble
