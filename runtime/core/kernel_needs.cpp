#include "runtime/core/kernel_needs.h"

#include "runtime/base/error.h"

namespace nibble {

KernelNeeds needs_of(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs) {
  KernelNeeds needs = {.workgroup_size = variant.workgroup,
                       .params_bytes = static_cast<uint32_t>(kernel.params.size() * 4),
                       .storage_bindings = static_cast<uint32_t>(kernel.bindings.size())};
  for (const SlabShape& shape : slabs) needs.storage_bindings += shape.slabs - 1;
  return needs;
}

void require_fit(std::string_view kernel, const KernelNeeds& needs, const DeviceInfo& device) {
  const auto require = [&](uint64_t needed, uint64_t allowed, std::string_view what) {
    if (needed <= allowed) return;
    fail(ErrorCode::kUnsupported, "kernel {} needs {} {}, device '{}' allows {}", kernel, needed, what, device.name,
         allowed);
  };
  require(needs.workgroup_size, device.limits.max_workgroup_size, "invocations in a workgroup");
  require(needs.params_bytes, device.limits.max_params_bytes, "bytes of params");
  require(needs.storage_bindings, device.limits.max_storage_bindings, "storage buffers");
  require(needs.workgroup_memory, device.limits.max_workgroup_memory, "bytes of workgroup memory");
}

}  // namespace nibble
