// A dispatch as this backend runs it, as plain data: what a program of its own needs to run it the same way, without
// nibble. Asks no driver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/dispatch_list.h"

namespace nibble::vulkan {

struct ExportedDescriptor {
  uint64_t range = 0;   // bytes from the view's offset on; UINT64_MAX: the whole buffer (step words)
  uint32_t format = 0;  // VkFormat of a uniform texel buffer; 0 (VK_FORMAT_UNDEFINED): a storage buffer
};

// Entry point "main", descriptor set 0, params as push constants from byte 0 on, no specialisation constants.
struct ExportedDispatch {
  std::string glsl;
  std::vector<uint32_t> spirv;
  std::vector<ExportedDescriptor> descriptors;  // by binding number: slabs one after the other, the step words too
};

// Throws kInternal if the kernel's text does not compile.
ExportedDispatch export_dispatch(const Dispatch& dispatch, const Variant& variant);

}  // namespace nibble::vulkan
