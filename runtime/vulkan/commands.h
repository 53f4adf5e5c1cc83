// Small pieces of command recording that transfers, programs and timing share.
#pragma once

#include <span>
#include <vector>

#include "runtime/vulkan/context.h"

namespace nibble::vulkan {

CommandPoolHandle make_command_pool(Context& context);
std::vector<VkCommandBuffer> allocate_commands(Context& context, VkCommandPool pool, uint32_t count);
FenceHandle make_fence(Context& context);

void begin_commands(Context& context, VkCommandBuffer commands, VkCommandBufferUsageFlags usage);
void end_commands(Context& context, VkCommandBuffer commands);

struct Scope {
  VkPipelineStageFlags stages = 0;
  VkAccessFlags access = 0;
};
inline constexpr Scope kComputeWrites = {VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT};
inline constexpr Scope kComputeAll = {VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                      VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
inline constexpr Scope kTransferAll = {VK_PIPELINE_STAGE_TRANSFER_BIT,
                                       VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
inline constexpr Scope kTransferWrites = {VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT};
inline constexpr Scope kHostReads = {VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT};

constexpr Scope operator|(Scope a, Scope b) { return {a.stages | b.stages, a.access | b.access}; }

// A global memory barrier: with one queue and no images nothing finer pays.
void memory_barrier(const Context& context, VkCommandBuffer commands, Scope from, Scope to);

// Submits to the device's queue; `fence` may be null.
void submit_commands(Context& context, std::span<const VkCommandBuffer> commands, VkFence fence);
void wait_and_reset(Context& context, VkFence fence);

}  // namespace nibble::vulkan
