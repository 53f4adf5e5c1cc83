#include "runtime/vulkan/api.h"

#include "runtime/base/error.h"

namespace nibble::vulkan {

std::string_view result_name(VkResult result) {
  switch (result) {
#define NIBBLE_RESULT(name) \
  case name:                \
    return #name
    NIBBLE_RESULT(VK_SUCCESS);
    NIBBLE_RESULT(VK_NOT_READY);
    NIBBLE_RESULT(VK_TIMEOUT);
    NIBBLE_RESULT(VK_INCOMPLETE);
    NIBBLE_RESULT(VK_ERROR_OUT_OF_HOST_MEMORY);
    NIBBLE_RESULT(VK_ERROR_OUT_OF_DEVICE_MEMORY);
    NIBBLE_RESULT(VK_ERROR_INITIALIZATION_FAILED);
    NIBBLE_RESULT(VK_ERROR_DEVICE_LOST);
    NIBBLE_RESULT(VK_ERROR_MEMORY_MAP_FAILED);
    NIBBLE_RESULT(VK_ERROR_LAYER_NOT_PRESENT);
    NIBBLE_RESULT(VK_ERROR_EXTENSION_NOT_PRESENT);
    NIBBLE_RESULT(VK_ERROR_FEATURE_NOT_PRESENT);
    NIBBLE_RESULT(VK_ERROR_INCOMPATIBLE_DRIVER);
    NIBBLE_RESULT(VK_ERROR_TOO_MANY_OBJECTS);
    NIBBLE_RESULT(VK_ERROR_FRAGMENTED_POOL);
    NIBBLE_RESULT(VK_ERROR_OUT_OF_POOL_MEMORY);
    NIBBLE_RESULT(VK_ERROR_FRAGMENTATION);
    NIBBLE_RESULT(VK_ERROR_UNKNOWN);
#undef NIBBLE_RESULT
    default:
      return "VkResult";
  }
}

void check_result(VkResult result, std::string_view call) {
  if (result >= 0) return;
  const bool memory = result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
  fail(memory ? ErrorCode::kOutOfMemory : ErrorCode::kDevice, "{}: {} ({})", call, result_name(result),
       static_cast<int>(result));
}

}  // namespace nibble::vulkan
