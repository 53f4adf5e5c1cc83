// Faults that the test layer can have: what real drivers have got wrong, chosen by name. Each is an object whose hooks
// see what passes through the layer; a hook that a fault does not override lets it pass.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <vulkan/vulkan.h>

#include "tests/portability/faults/spirv_module.h"

namespace nibble::faults {

// What is below the layer, as far as faults call it.
struct NextLayer {
  PFN_vkGetDeviceProcAddr get_proc_addr;
  PFN_vkCreateShaderModule create_shader_module;
  PFN_vkCreateComputePipelines create_compute_pipelines;
  PFN_vkCmdBindPipeline bind_pipeline;
  PFN_vkCmdBindDescriptorSets bind_descriptor_sets;
  PFN_vkCmdPushConstants push_constants;
  PFN_vkCmdDispatch dispatch;
  PFN_vkCmdDispatchIndirect dispatch_indirect;
  PFN_vkCmdPipelineBarrier pipeline_barrier;
  PFN_vkCmdCopyBuffer copy_buffer;
  PFN_vkCmdFillBuffer fill_buffer;
  PFN_vkBeginCommandBuffer begin_command_buffer;
  PFN_vkEndCommandBuffer end_command_buffer;
  PFN_vkQueueSubmit queue_submit;
  PFN_vkQueueWaitIdle queue_wait_idle;
  PFN_vkWaitForFences wait_for_fences;
  PFN_vkUpdateDescriptorSets update_descriptor_sets;
  PFN_vkCreateBufferView create_buffer_view;
  PFN_vkBindBufferMemory bind_buffer_memory;
  PFN_vkMapMemory map_memory;
};

// One dispatch as it was recorded.
struct DispatchCall {
  VkPipeline pipeline = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  VkDescriptorSet set = VK_NULL_HANDLE;
  std::vector<std::byte> params;
  VkBuffer indirect = VK_NULL_HANDLE;  // null: the grid below
  VkDeviceSize indirect_offset = 0;
  uint32_t x = 1, y = 1, z = 1;
};

class Fault {
 public:
  virtual ~Fault() = default;
  // What the driver announces, before there is a device.
  virtual void edit_subgroup_sizes(VkPhysicalDeviceSubgroupSizeControlProperties&) {}

  virtual void edit_module(Module&) {}
  // May crash. `module` is what edit_module() saw.
  virtual VkResult before_pipeline(const Module&) { return VK_SUCCESS; }
  virtual void edit_stage(VkPipelineShaderStageCreateInfo&) {}

  // Recording. The default records the call.
  virtual void record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call);
  // Whether a barrier is recorded.
  virtual bool keeps_barrier(VkCommandBuffer) { return true; }
  virtual void end_commands(const NextLayer&, VkCommandBuffer) {}
  // False where the push is forgotten.
  virtual bool keeps_push(VkCommandBuffer, std::span<const std::byte>) { return true; }
  virtual VkDeviceSize copied_bytes(VkDeviceSize bytes) { return bytes; }
  virtual VkDeviceSize filled_bytes(VkDeviceSize bytes) { return bytes; }

  virtual void edit_descriptor(VkDescriptorBufferInfo&) {}
  virtual void edit_texel_view(VkBufferViewCreateInfo&) {}

  // Memory that the host sees: where a buffer's bytes are, as soon as both are known.
  virtual void buffer_at(VkBuffer, std::byte*) {}

  virtual VkResult before_submit(const NextLayer&, std::span<const VkCommandBuffer>) { return VK_SUCCESS; }
  virtual void after_submit(const NextLayer&, VkQueue) {}
  virtual void before_wait() {}
};

// Records a dispatch whole: pipeline, set, params, grid.
void record_call(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call);

// The fault of that name; a Fault without overrides for "" and null for an unknown one.
std::unique_ptr<Fault> make_fault(std::string_view name);

// The faults by where they are, for make_fault(): null if it has none of that name.
std::unique_ptr<Fault> make_spirv_fault(std::string_view name);
std::unique_ptr<Fault> make_command_fault(std::string_view name);

}  // namespace nibble::faults
