// Context: the VkDevice, its queue and its entry points. Everything made from a device shares it, so it goes last and
// the order in which buffers, programs and the device are dropped does not matter. One thread at a time.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "runtime/vulkan/api.h"
#include "runtime/vulkan/device_plan.h"
#include "runtime/vulkan/instance.h"

namespace nibble::vulkan {

// Remembers the first failure that leaves a device unusable.
class Health {
 public:
  // Throws for errors as check_result() does; a lost device stays lost.
  void check(VkResult result, std::string_view call);
  // Throws kDevice if the device was lost.
  void ensure_alive() const;
  bool is_lost() const;

 private:
  mutable std::mutex mutex_;  // pipelines are compiled by several threads
  std::string lost_in_;       // name of the call
};

class Context {
 public:
  Context(std::shared_ptr<Instance> instance, VkPhysicalDevice physical, DevicePlan plan);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const DevicePlan& plan() const { return plan_; }
  const DeviceInfo& info() const { return plan_.info; }
  const VolkDeviceTable& api() const { return api_; }
  VkDevice device() const { return device_; }
  VkQueue queue() const { return queue_; }

  void check(VkResult result, std::string_view call) { health_.check(result, call); }
  bool is_lost() const { return health_.is_lost(); }
  // At the start of every call from outside: throws if the device is lost or the validation layers have complained.
  void ensure_usable();

  // Keeps count of what buffers take from DeviceLimits::memory_bytes; false if it does not fit any more.
  bool reserve(uint64_t bytes);
  void release(uint64_t bytes) { reserved_bytes_ -= bytes; }

 private:
  std::shared_ptr<Instance> instance_;
  DevicePlan plan_;
  Health health_;
  VkDevice device_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  VolkDeviceTable api_{};
  uint64_t reserved_bytes_ = 0;
};

// Handle: owner of one Vulkan object. Its owner keeps the context alive longer (a member declared before it).
// Destroy is the entry in the table: Handle<VkFence, &VolkDeviceTable::vkDestroyFence>.
template <typename T, auto Destroy>
class Handle {
 public:
  Handle() = default;
  Handle(const Context& context, T value) : context_(&context), value_(value) {}
  Handle(Handle&& other) noexcept : context_(other.context_), value_(std::exchange(other.value_, VK_NULL_HANDLE)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(value_, other.value_);
    return *this;
  }
  ~Handle() {
    if (value_ != VK_NULL_HANDLE) (context_->api().*Destroy)(context_->device(), value_, nullptr);
  }

  T get() const { return value_; }
  explicit operator bool() const { return value_ != VK_NULL_HANDLE; }

 private:
  const Context* context_ = nullptr;
  T value_ = VK_NULL_HANDLE;
};

using BufferHandle = Handle<VkBuffer, &VolkDeviceTable::vkDestroyBuffer>;
using BufferViewHandle = Handle<VkBufferView, &VolkDeviceTable::vkDestroyBufferView>;
using CommandPoolHandle = Handle<VkCommandPool, &VolkDeviceTable::vkDestroyCommandPool>;
using DescriptorPoolHandle = Handle<VkDescriptorPool, &VolkDeviceTable::vkDestroyDescriptorPool>;
using FenceHandle = Handle<VkFence, &VolkDeviceTable::vkDestroyFence>;
using MemoryHandle = Handle<VkDeviceMemory, &VolkDeviceTable::vkFreeMemory>;
using PipelineCacheHandle = Handle<VkPipelineCache, &VolkDeviceTable::vkDestroyPipelineCache>;
using PipelineHandle = Handle<VkPipeline, &VolkDeviceTable::vkDestroyPipeline>;
using PipelineLayoutHandle = Handle<VkPipelineLayout, &VolkDeviceTable::vkDestroyPipelineLayout>;
using QueryPoolHandle = Handle<VkQueryPool, &VolkDeviceTable::vkDestroyQueryPool>;
using SetLayoutHandle = Handle<VkDescriptorSetLayout, &VolkDeviceTable::vkDestroyDescriptorSetLayout>;
using ShaderModuleHandle = Handle<VkShaderModule, &VolkDeviceTable::vkDestroyShaderModule>;

}  // namespace nibble::vulkan
