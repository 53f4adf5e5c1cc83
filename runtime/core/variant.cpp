#include "runtime/core/variant.h"

#include "runtime/base/error.h"
#include "runtime/core/tuning.h"
#include "runtime/core/workgroup_memory.h"

namespace nibble {
namespace {

Dialect dialect_of(const DeviceInfo& device) {
  return device.backend == BackendKind::kVulkan ? Dialect::kGlsl : Dialect::kOpenCl;
}

bool is_usable(const Variant& variant, const DeviceInfo& device, uint32_t rows) {
  return is_supported(variant, device) && variant.requires_rows <= rows;
}

}  // namespace

bool is_supported(const Variant& variant, const DeviceInfo& device) {
  const bool speaks = !variant.dialect || *variant.dialect == dialect_of(device);
  const bool reads = variant.texels.empty() || device.capabilities.has(Capability::kTexelBuffers);
  return speaks && reads && device.capabilities.covers(variant.requires_) &&
         variant.workgroup <= device.limits.max_workgroup_size &&
         workgroup_memory_of(variant) <= device.limits.max_workgroup_memory;
}

const Variant& default_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows) {
  const Variant* best = nullptr;
  for (const Variant& variant : kernel.variants) {
    if (!is_usable(variant, device, rows)) continue;
    const bool fits = variant.for_wide_cpu == device.is_wide_cpu() && variant.min_rows <= rows;
    if (best == nullptr || fits) best = &variant;
  }
  if (best == nullptr) {
    fail(ErrorCode::kUnsupported, "kernel '{}' has no variant that device '{}' can run", kernel.name, device.name);
  }
  return *best;
}

const Variant& choose_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows) {
  const std::string_view tuned = tuned_variant(kernel.name, device, rows);
  for (const Variant& variant : kernel.variants) {
    if (variant.name == tuned && is_usable(variant, device, rows)) return variant;
  }
  return default_variant(kernel, device, rows);
}

const Variant& pick_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows,
                            std::string_view forced) {
  for (const Variant& variant : kernel.variants) {
    if (forced.empty() || variant.name != forced || variant.requires_rows > rows) continue;
    if (is_supported(variant, device)) return variant;
    fail(ErrorCode::kUnsupported, "kernel {} was asked for, device '{}' cannot run it", qualified_name(kernel, variant),
         device.name);
  }
  return choose_variant(kernel, device, rows);
}

std::string qualified_name(const KernelSpec& kernel, const Variant& variant) {
  return fmt::format("{}__{}", kernel.name, variant.name);
}

}  // namespace nibble
