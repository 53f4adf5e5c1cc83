#include "runtime/vulkan/commands.h"

#include <limits>

namespace nibble::vulkan {

CommandPoolHandle make_command_pool(Context& context) {
  const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                        .pNext = nullptr,
                                        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                        .queueFamilyIndex = context.plan().queue_family};
  VkCommandPool pool = VK_NULL_HANDLE;
  context.check(context.api().vkCreateCommandPool(context.device(), &info, nullptr, &pool), "vkCreateCommandPool");
  return {context, pool};
}

std::vector<VkCommandBuffer> allocate_commands(Context& context, VkCommandPool pool, uint32_t count) {
  std::vector<VkCommandBuffer> commands(count);
  if (count == 0) return commands;
  const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .pNext = nullptr,
                                            .commandPool = pool,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = count};
  context.check(context.api().vkAllocateCommandBuffers(context.device(), &info, commands.data()),
                "vkAllocateCommandBuffers");
  return commands;
}

FenceHandle make_fence(Context& context) {
  const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, .pNext = nullptr, .flags = 0};
  VkFence fence = VK_NULL_HANDLE;
  context.check(context.api().vkCreateFence(context.device(), &info, nullptr, &fence), "vkCreateFence");
  return {context, fence};
}

void begin_commands(Context& context, VkCommandBuffer commands, VkCommandBufferUsageFlags usage) {
  const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                         .pNext = nullptr,
                                         .flags = usage,
                                         .pInheritanceInfo = nullptr};
  context.check(context.api().vkBeginCommandBuffer(commands, &info), "vkBeginCommandBuffer");
}

void end_commands(Context& context, VkCommandBuffer commands) {
  context.check(context.api().vkEndCommandBuffer(commands), "vkEndCommandBuffer");
}

void memory_barrier(const Context& context, VkCommandBuffer commands, Scope from, Scope to) {
  const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                   .pNext = nullptr,
                                   .srcAccessMask = from.access,
                                   .dstAccessMask = to.access};
  context.api().vkCmdPipelineBarrier(commands, from.stages, to.stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

void submit_commands(Context& context, std::span<const VkCommandBuffer> commands, VkFence fence) {
  const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                             .pNext = nullptr,
                             .waitSemaphoreCount = 0,
                             .pWaitSemaphores = nullptr,
                             .pWaitDstStageMask = nullptr,
                             .commandBufferCount = static_cast<uint32_t>(commands.size()),
                             .pCommandBuffers = commands.data(),
                             .signalSemaphoreCount = 0,
                             .pSignalSemaphores = nullptr};
  context.check(context.api().vkQueueSubmit(context.queue(), 1, &info, fence), "vkQueueSubmit");
}

void wait_and_reset(Context& context, VkFence fence) {
  constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();
  context.check(context.api().vkWaitForFences(context.device(), 1, &fence, VK_TRUE, kForever), "vkWaitForFences");
  context.check(context.api().vkResetFences(context.device(), 1, &fence), "vkResetFences");
}

}  // namespace nibble::vulkan
