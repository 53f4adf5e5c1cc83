// Vulkan as nibble uses it: entry points through volk, so that a binary runs where no libvulkan is, and result codes as
// nibble errors.
#pragma once

#include <string_view>

#include <volk.h>

namespace nibble::vulkan {

// "VK_ERROR_DEVICE_LOST"; "VkResult" for codes that nibble does not know.
std::string_view result_name(VkResult result);

// Throws kOutOfMemory for the two out-of-memory codes and kDevice for every other error, naming call and code.
void check_result(VkResult result, std::string_view call);

}  // namespace nibble::vulkan
