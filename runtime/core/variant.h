// Choosing how to run a kernel on a device: a pure function of the spec and the device's description.
#pragma once

#include <string>

#include "runtime/core/dispatch_list.h"
#include "runtime/core/kernel_spec.h"

namespace nibble {

bool is_supported(const Variant& variant, const DeviceInfo& device);

bool serves(const Variant& variant, std::span<const std::byte> params);

// The last supported variant that serves all params and is meant for this class of device and for so few `rows` of
// activations, else the first supported one of the other class.
const Variant& default_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows);

// The variant that the tuning table names for this device and so many rows, else the default one.
const Variant& choose_variant(const KernelSpec& kernel, const DeviceInfo& device, uint32_t rows);

// The same among all variants that serve the dispatch's params, unless the kernel has one called `forced` that does and
// serves so few rows: throws kUnsupported if the device cannot run that one.
const Variant& pick_variant(const Dispatch& dispatch, const DeviceInfo& device, std::string_view forced = "");

// "gemm_fp8_f32__wg64"
std::string qualified_name(const KernelSpec& kernel, const Variant& variant);

}  // namespace nibble
