#include "runtime/core/variant.h"

#include <optional>

#include "runtime/base/error.h"
#include "runtime/core/kernel_needs.h"
#include "runtime/core/tuning.h"
#include "runtime/core/workgroup_memory.h"

namespace nibble {
namespace {

Dialect dialect_of(const DeviceInfo& device) {
  return device.backend == BackendKind::kVulkan ? Dialect::kGlsl : Dialect::kOpenCl;
}

// What a variant is chosen for. Without params: for any.
struct Work {
  uint32_t rows = 0;
  std::optional<std::span<const std::byte>> params;
};

bool fits_work(const Variant& variant, const Work& work) {
  if (variant.requires_rows > work.rows) return false;
  return variant.serves == nullptr || (work.params && variant.serves(*work.params));
}

bool is_usable(const Variant& variant, const DeviceInfo& device, const Work& work) {
  return is_supported(variant, device) && fits_work(variant, work);
}

const Variant& default_for(const KernelSpec& kernel, const DeviceInfo& device, const Work& work) {
  const Variant* best = nullptr;
  for (const Variant& variant : kernel.variants) {
    if (!is_usable(variant, device, work)) continue;
    const bool fits = variant.for_wide_cpu == device.is_wide_cpu() && variant.min_rows <= work.rows;
    if (best == nullptr || fits) best = &variant;
  }
  if (best == nullptr) {
    fail(ErrorCode::kUnsupported, "kernel '{}' has no variant that device '{}' can run", kernel.name, device.name);
  }
  return *best;
}

const Variant& choose_for(const KernelSpec& kernel, const DeviceInfo& device, const Work& work) {
  const auto usable = [&](std::string_view name) -> const Variant* {
    for (const Variant& variant : kernel.variants) {
      if (variant.name == name && is_usable(variant, device, work)) return &variant;
    }
    return nullptr;
  };
  const Variant* tuned = usable(
      tuned_variant(kernel.name, device, work.rows, [&](std::string_view name) { return usable(name) != nullptr; }));
  return tuned != nullptr ? *tuned : default_for(kernel, device, work);
}

}  // namespace

bool is_supported(const Variant& variant, const DeviceInfo& device) {
  const bool speaks = !variant.dialect || *variant.dialect == dialect_of(device);
  const bool reads = variant.texels.empty() || device.capabilities.has(Capability::kTexelBuffers);
  return speaks && reads && device.capabilities.covers(variant.requires_) &&
         variant.workgroup <= device.limits.max_workgroup_size &&
         workgroup_memory_of(variant) <= device.limits.max_workgroup_memory;
}

bool serves(const Variant& variant, std::span<const std::byte> params) {
  return variant.serves == nullptr || variant.serves(params);
}

const Variant& default_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows) {
  return default_for(kernel, device, {.rows = rows, .params = std::nullopt});
}

const Variant& choose_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows) {
  return choose_for(kernel, device, {.rows = rows, .params = std::nullopt});
}

const Variant& pick_variant(const Dispatch& dispatch, const DeviceInfo& device, std::string_view forced) {
  const KernelSpec& kernel = *dispatch.kernel;
  const Work work = {.rows = dispatch.rows, .params = dispatch.params};
  for (const Variant& variant : kernel.variants) {
    if (forced.empty() || variant.name != forced || !fits_work(variant, work)) continue;
    if (is_supported(variant, device)) return variant;
    const KernelNeeds needs = {.workgroup_size = variant.workgroup, .workgroup_memory = workgroup_memory_of(variant)};
    require_fit(qualified_name(kernel, variant), needs, device);
    fail(ErrorCode::kUnsupported, "kernel {} was asked for, device '{}' cannot run it", qualified_name(kernel, variant),
         device.name);
  }
  return choose_for(kernel, device, work);
}

std::string qualified_name(const KernelSpec& kernel, const Variant& variant) {
  return fmt::format("{}__{}", kernel.name, variant.name);
}

}  // namespace nibble
