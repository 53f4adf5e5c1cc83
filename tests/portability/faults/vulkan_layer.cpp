// A Vulkan layer for tests: a driver with a fault. The loader finds it by VK_LAYER_PATH and VK_INSTANCE_LAYERS
// (VK_LAYER_NIBBLE_fault); NIBBLE_FAULT names the fault. Programs under test use devices from one thread.
#include "tests/portability/faults/vulkan_layer.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>

#include <vulkan/vk_layer.h>

#include "tests/portability/faults/fault.h"

namespace nibble::faults {
namespace {

struct DeviceState {
  NextLayer next;
  std::unique_ptr<Fault> fault;
  std::map<VkShaderModule, Module> modules;
  std::map<VkCommandBuffer, DispatchCall> recording;
  std::map<VkDeviceMemory, std::byte*> mapped;
  std::map<VkBuffer, std::pair<VkDeviceMemory, VkDeviceSize>> bound;

  void tell_address(VkBuffer buffer) {
    const auto& [memory, offset] = bound.at(buffer);
    const auto address = mapped.find(memory);
    if (address != mapped.end()) fault->buffer_at(buffer, address->second + offset);
  }
};

struct InstanceState {
  PFN_vkGetInstanceProcAddr get_proc_addr;  // of what is below the layer
  PFN_vkGetPhysicalDeviceProperties2 get_properties;
};

struct State {
  std::map<void*, InstanceState> instances;
  std::map<void*, DeviceState> devices;
  ModuleHook module_hook = nullptr;
};

State& state() {
  static State instance;
  return instance;
}

// The loader keeps its table at the start of every dispatchable handle: the same for all objects of a device.
template <typename Handle>
void* key_of(Handle handle) {
  return *reinterpret_cast<void**>(handle);
}

template <typename Handle>
DeviceState& device_of(Handle handle) {
  return state().devices.at(key_of(handle));
}

template <typename Link>
Link* find_link(const void* chain, VkStructureType type) {
  for (auto* link = const_cast<Link*>(static_cast<const Link*>(chain)); link != nullptr;
       link = const_cast<Link*>(static_cast<const Link*>(link->pNext))) {
    if (link->sType == type && link->function == VK_LAYER_LINK_INFO) return link;
  }
  return nullptr;
}

VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator,
                                               VkInstance* instance) {
  auto* link = find_link<VkLayerInstanceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  const PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create = reinterpret_cast<PFN_vkCreateInstance>(next(VK_NULL_HANDLE, "vkCreateInstance"));
  const VkResult result = create(info, allocator, instance);
  if (result != VK_SUCCESS) return result;
  state().instances[key_of(*instance)] = {
      next, reinterpret_cast<PFN_vkGetPhysicalDeviceProperties2>(next(*instance, "vkGetPhysicalDeviceProperties2"))};
  return result;
}

// Null, with a message, if there is none of the name asked for.
std::unique_ptr<Fault> chosen_fault() {
  const char* name = std::getenv("NIBBLE_FAULT");
  std::unique_ptr<Fault> fault = make_fault(name == nullptr ? "" : name);
  if (fault == nullptr) std::fprintf(stderr, "fault layer: NIBBLE_FAULT: unknown fault '%s'\n", name);
  return fault;
}

VKAPI_ATTR void VKAPI_CALL get_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties2* properties) {
  state().instances.at(key_of(physical)).get_properties(physical, properties);
  const std::unique_ptr<Fault> fault = chosen_fault();
  for (auto* link = static_cast<VkBaseOutStructure*>(properties->pNext); fault != nullptr && link != nullptr;
       link = link->pNext) {
    if (link->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) continue;
    fault->edit_subgroup_sizes(*reinterpret_cast<VkPhysicalDeviceSubgroupSizeControlProperties*>(link));
  }
}

template <typename F>
void load(const NextLayer& next, VkDevice device, F& function, const char* name) {
  function = reinterpret_cast<F>(next.get_proc_addr(device, name));
}

void load_next(NextLayer& next, VkDevice device) {
  load(next, device, next.create_shader_module, "vkCreateShaderModule");
  load(next, device, next.create_compute_pipelines, "vkCreateComputePipelines");
  load(next, device, next.bind_pipeline, "vkCmdBindPipeline");
  load(next, device, next.bind_descriptor_sets, "vkCmdBindDescriptorSets");
  load(next, device, next.push_constants, "vkCmdPushConstants");
  load(next, device, next.dispatch, "vkCmdDispatch");
  load(next, device, next.dispatch_indirect, "vkCmdDispatchIndirect");
  load(next, device, next.pipeline_barrier, "vkCmdPipelineBarrier");
  load(next, device, next.copy_buffer, "vkCmdCopyBuffer");
  load(next, device, next.fill_buffer, "vkCmdFillBuffer");
  load(next, device, next.begin_command_buffer, "vkBeginCommandBuffer");
  load(next, device, next.end_command_buffer, "vkEndCommandBuffer");
  load(next, device, next.queue_submit, "vkQueueSubmit");
  load(next, device, next.queue_wait_idle, "vkQueueWaitIdle");
  load(next, device, next.wait_for_fences, "vkWaitForFences");
  load(next, device, next.update_descriptor_sets, "vkUpdateDescriptorSets");
  load(next, device, next.create_buffer_view, "vkCreateBufferView");
  load(next, device, next.bind_buffer_memory, "vkBindBufferMemory");
  load(next, device, next.map_memory, "vkMapMemory");
}

VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                                             const VkAllocationCallbacks* allocator, VkDevice* device) {
  auto* link = find_link<VkLayerDeviceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  const PFN_vkGetInstanceProcAddr next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  const PFN_vkGetDeviceProcAddr next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  std::unique_ptr<Fault> fault = chosen_fault();
  if (fault == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  const auto create = reinterpret_cast<PFN_vkCreateDevice>(next_instance(VK_NULL_HANDLE, "vkCreateDevice"));
  const VkResult result = create(physical, info, allocator, device);
  if (result != VK_SUCCESS) return result;
  DeviceState made;
  made.next.get_proc_addr = next_device;
  load_next(made.next, *device);
  made.fault = std::move(fault);
  state().devices.insert_or_assign(key_of(*device), std::move(made));
  return VK_SUCCESS;
}

VKAPI_ATTR VkResult VKAPI_CALL create_shader_module(VkDevice device, const VkShaderModuleCreateInfo* info,
                                                    const VkAllocationCallbacks* allocator, VkShaderModule* shader) {
  DeviceState& d = device_of(device);
  std::vector<uint32_t> words(info->pCode, info->pCode + info->codeSize / 4);
  if (state().module_hook != nullptr) state().module_hook(words);
  Module module(words);
  d.fault->edit_module(module);
  words = module.words();
  VkShaderModuleCreateInfo edited = *info;
  edited.codeSize = words.size() * 4;
  edited.pCode = words.data();
  const VkResult result = d.next.create_shader_module(device, &edited, allocator, shader);
  if (result == VK_SUCCESS) d.modules.insert_or_assign(*shader, std::move(module));
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL create_compute_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                        const VkComputePipelineCreateInfo* infos,
                                                        const VkAllocationCallbacks* allocator, VkPipeline* pipelines) {
  DeviceState& d = device_of(device);
  for (uint32_t i = 0; i < count; ++i) {
    const VkResult result = d.fault->before_pipeline(d.modules.at(infos[i].stage.module));
    if (result != VK_SUCCESS) return result;
  }
  std::vector<VkComputePipelineCreateInfo> edited(infos, infos + count);
  for (VkComputePipelineCreateInfo& info : edited) d.fault->edit_stage(info.stage);
  return d.next.create_compute_pipelines(device, cache, count, edited.data(), allocator, pipelines);
}

VKAPI_ATTR VkResult VKAPI_CALL begin_command_buffer(VkCommandBuffer commands, const VkCommandBufferBeginInfo* info) {
  DeviceState& d = device_of(commands);
  d.recording[commands] = {};
  return d.next.begin_command_buffer(commands, info);
}

VKAPI_ATTR VkResult VKAPI_CALL end_command_buffer(VkCommandBuffer commands) {
  DeviceState& d = device_of(commands);
  d.fault->end_commands(d.next, commands);
  return d.next.end_command_buffer(commands);
}

VKAPI_ATTR void VKAPI_CALL bind_pipeline(VkCommandBuffer commands, VkPipelineBindPoint, VkPipeline pipeline) {
  device_of(commands).recording[commands].pipeline = pipeline;
}

VKAPI_ATTR void VKAPI_CALL bind_descriptor_sets(VkCommandBuffer commands, VkPipelineBindPoint, VkPipelineLayout layout,
                                                uint32_t, uint32_t, const VkDescriptorSet* sets, uint32_t,
                                                const uint32_t*) {
  DispatchCall& call = device_of(commands).recording[commands];
  call.layout = layout;
  call.set = sets[0];
}

VKAPI_ATTR void VKAPI_CALL push_constants(VkCommandBuffer commands, VkPipelineLayout, VkShaderStageFlags, uint32_t,
                                          uint32_t size, const void* values) {
  DeviceState& d = device_of(commands);
  const std::span bytes(static_cast<const std::byte*>(values), size);
  if (d.fault->keeps_push(commands, bytes)) d.recording[commands].params.assign(bytes.begin(), bytes.end());
}

VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
  DeviceState& d = device_of(commands);
  DispatchCall call = d.recording[commands];
  call.x = x;
  call.y = y;
  call.z = z;
  d.fault->record_dispatch(d.next, commands, call);
}

VKAPI_ATTR void VKAPI_CALL dispatch_indirect(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset) {
  DeviceState& d = device_of(commands);
  DispatchCall call = d.recording[commands];
  call.indirect = buffer;
  call.indirect_offset = offset;
  d.fault->record_dispatch(d.next, commands, call);
}

VKAPI_ATTR void VKAPI_CALL pipeline_barrier(VkCommandBuffer commands, VkPipelineStageFlags from,
                                            VkPipelineStageFlags to, VkDependencyFlags flags, uint32_t memory_count,
                                            const VkMemoryBarrier* memory, uint32_t buffer_count,
                                            const VkBufferMemoryBarrier* buffers, uint32_t image_count,
                                            const VkImageMemoryBarrier* images) {
  DeviceState& d = device_of(commands);
  if (!d.fault->keeps_barrier(commands)) return;
  d.next.pipeline_barrier(commands, from, to, flags, memory_count, memory, buffer_count, buffers, image_count, images);
}

VKAPI_ATTR void VKAPI_CALL copy_buffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count,
                                       const VkBufferCopy* regions) {
  DeviceState& d = device_of(commands);
  std::vector<VkBufferCopy> edited(regions, regions + count);
  for (VkBufferCopy& region : edited) region.size = d.fault->copied_bytes(region.size);
  d.next.copy_buffer(commands, from, to, count, edited.data());
}

VKAPI_ATTR void VKAPI_CALL fill_buffer(VkCommandBuffer commands, VkBuffer to, VkDeviceSize offset, VkDeviceSize bytes,
                                       uint32_t word) {
  DeviceState& d = device_of(commands);
  d.next.fill_buffer(commands, to, offset, d.fault->filled_bytes(bytes), word);
}

VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count, const VkSubmitInfo* infos, VkFence fence) {
  DeviceState& d = device_of(queue);
  for (uint32_t i = 0; i < count; ++i) {
    const VkResult result = d.fault->before_submit(d.next, {infos[i].pCommandBuffers, infos[i].commandBufferCount});
    if (result != VK_SUCCESS) return result;
  }
  const VkResult result = d.next.queue_submit(queue, count, infos, fence);
  d.fault->after_submit(d.next, queue);
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL wait_for_fences(VkDevice device, uint32_t count, const VkFence* fences, VkBool32 all,
                                               uint64_t timeout) {
  DeviceState& d = device_of(device);
  d.fault->before_wait();
  return d.next.wait_for_fences(device, count, fences, all, timeout);
}

VKAPI_ATTR void VKAPI_CALL update_descriptor_sets(VkDevice device, uint32_t count, const VkWriteDescriptorSet* writes,
                                                  uint32_t copy_count, const VkCopyDescriptorSet* copies) {
  DeviceState& d = device_of(device);
  std::vector<VkWriteDescriptorSet> edited(writes, writes + count);
  std::vector<VkDescriptorBufferInfo> infos(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (edited[i].descriptorType != VK_DESCRIPTOR_TYPE_STORAGE_BUFFER) continue;
    infos[i] = *edited[i].pBufferInfo;
    d.fault->edit_descriptor(infos[i]);
    edited[i].pBufferInfo = &infos[i];
  }
  d.next.update_descriptor_sets(device, count, edited.data(), copy_count, copies);
}

VKAPI_ATTR VkResult VKAPI_CALL create_buffer_view(VkDevice device, const VkBufferViewCreateInfo* info,
                                                  const VkAllocationCallbacks* allocator, VkBufferView* view) {
  DeviceState& d = device_of(device);
  VkBufferViewCreateInfo edited = *info;
  d.fault->edit_texel_view(edited);
  return d.next.create_buffer_view(device, &edited, allocator, view);
}

VKAPI_ATTR VkResult VKAPI_CALL bind_buffer_memory(VkDevice device, VkBuffer buffer, VkDeviceMemory memory,
                                                  VkDeviceSize offset) {
  DeviceState& d = device_of(device);
  const VkResult result = d.next.bind_buffer_memory(device, buffer, memory, offset);
  if (result == VK_SUCCESS) {
    d.bound[buffer] = {memory, offset};
    d.tell_address(buffer);
  }
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL map_memory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                                          VkDeviceSize bytes, VkMemoryMapFlags flags, void** address) {
  DeviceState& d = device_of(device);
  const VkResult result = d.next.map_memory(device, memory, offset, bytes, flags, address);
  if (result == VK_SUCCESS) d.mapped[memory] = static_cast<std::byte*>(*address) - offset;
  return result;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char* name);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char* name);

template <typename F>
PFN_vkVoidFunction erase(F function) {
  return reinterpret_cast<PFN_vkVoidFunction>(function);
}

PFN_vkVoidFunction own_function(std::string_view name) {
  static const std::map<std::string_view, PFN_vkVoidFunction> functions = {
      {"vkGetInstanceProcAddr", erase(get_instance_proc_addr)},
      {"vkGetDeviceProcAddr", erase(get_device_proc_addr)},
      {"vkCreateInstance", erase(create_instance)},
      {"vkGetPhysicalDeviceProperties2", erase(get_properties)},
      {"vkCreateDevice", erase(create_device)},
      {"vkCreateShaderModule", erase(create_shader_module)},
      {"vkCreateComputePipelines", erase(create_compute_pipelines)},
      {"vkBeginCommandBuffer", erase(begin_command_buffer)},
      {"vkEndCommandBuffer", erase(end_command_buffer)},
      {"vkCmdBindPipeline", erase(bind_pipeline)},
      {"vkCmdBindDescriptorSets", erase(bind_descriptor_sets)},
      {"vkCmdPushConstants", erase(push_constants)},
      {"vkCmdDispatch", erase(dispatch)},
      {"vkCmdDispatchIndirect", erase(dispatch_indirect)},
      {"vkCmdPipelineBarrier", erase(pipeline_barrier)},
      {"vkCmdCopyBuffer", erase(copy_buffer)},
      {"vkCmdFillBuffer", erase(fill_buffer)},
      {"vkQueueSubmit", erase(queue_submit)},
      {"vkWaitForFences", erase(wait_for_fences)},
      {"vkUpdateDescriptorSets", erase(update_descriptor_sets)},
      {"vkCreateBufferView", erase(create_buffer_view)},
      {"vkBindBufferMemory", erase(bind_buffer_memory)},
      {"vkMapMemory", erase(map_memory)},
  };
  const auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char* name) {
  if (const PFN_vkVoidFunction own = own_function(name)) return own;
  if (instance == VK_NULL_HANDLE) return nullptr;
  return state().instances.at(key_of(instance)).get_proc_addr(instance, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char* name) {
  if (const PFN_vkVoidFunction own = own_function(name)) return own;
  return device_of(device).next.get_proc_addr(device, name);
}

}  // namespace
}  // namespace nibble::faults

extern "C" {

__attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* interface) {
  constexpr uint32_t kVersion = 2;
  if (interface->loaderLayerInterfaceVersion < kVersion) return VK_ERROR_INITIALIZATION_FAILED;
  interface->loaderLayerInterfaceVersion = kVersion;
  interface->pfnGetInstanceProcAddr = nibble::faults::get_instance_proc_addr;
  interface->pfnGetDeviceProcAddr = nibble::faults::get_device_proc_addr;
  interface->pfnGetPhysicalDeviceProcAddr = nullptr;
  return VK_SUCCESS;
}

__attribute__((visibility("default"))) void nibble_fault_layer_set_module_hook(nibble::faults::ModuleHook hook) {
  nibble::faults::state().module_hook = hook;
}
}
