#include "runtime/opencl/exported_dispatch.h"

#include "runtime/base/error.h"
#include "runtime/core/source_assembler.h"
#include "runtime/opencl/platform.h"

namespace nibble::opencl {

ExportedDispatch export_dispatch(const Dispatch& dispatch, const Variant& variant, std::string_view device_id) {
  const std::vector<PlatformDevice> devices = find_devices();
  for (size_t i = 0; i < devices.size(); ++i) {
    if (fmt::format("opencl:{}", i) != device_id) continue;
    return {.source = assemble_source(*dispatch.kernel, variant, slab_shapes(dispatch), Dialect::kOpenCl),
            .entry = std::string(dispatch.kernel->name),
            .build_options = build_options(devices[i].facts)};
  }
  fail(ErrorCode::kNotFound, "no device '{}': OpenCL shows {}", device_id, devices.size());
}

}  // namespace nibble::opencl
