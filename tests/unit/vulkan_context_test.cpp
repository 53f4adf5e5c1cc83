#include <gtest/gtest.h>

#include "runtime/vulkan/context.h"
#include "tests/support/expect_error.h"

namespace nibble::vulkan {
namespace {

TEST(VulkanHealth, ALostDeviceStaysLost) {
  Health health;
  health.check(VK_SUCCESS, "vkQueueSubmit");
  health.check(VK_TIMEOUT, "vkWaitForFences");  // a status, not an error
  health.ensure_alive();
  expect_error([&] { health.check(VK_ERROR_DEVICE_LOST, "vkQueueSubmit"); }, "vkQueueSubmit", "VK_ERROR_DEVICE_LOST");
  for (int i = 0; i < 2; ++i) expect_error([&] { health.ensure_alive(); }, "lost", "vkQueueSubmit");
}

TEST(VulkanHealth, OtherErrorsAreNotTheEnd) {
  Health health;
  try {
    health.check(VK_ERROR_OUT_OF_DEVICE_MEMORY, "vkAllocateMemory");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
  }
  health.ensure_alive();
}

}  // namespace
}  // namespace nibble::vulkan
