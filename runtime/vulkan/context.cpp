#include "runtime/vulkan/context.h"

#include "runtime/base/error.h"
#include "runtime/vulkan/matrix_units.h"

namespace nibble::vulkan {
namespace {

// The structures that switch on what the plan's capabilities need; they point at each other, so they stay in place.
struct FeatureChain {
  VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
  VkPhysicalDeviceSubgroupSizeControlFeatures size_control = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};

  VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
  CooperativeMatrixFeatures matrix;
  Bfloat16Features bfloat16;

  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};

  explicit FeatureChain(const DevicePlan& plan) {
    const CapabilitySet& on = plan.info.capabilities;
    add(on, Capability::kInt8Dot, dot, dot.shaderIntegerDotProduct);
    add(on, Capability::kMatrixUnits, memory_model, memory_model.vulkanMemoryModel);
    add(on, Capability::kMatrixUnits, matrix, matrix.cooperativeMatrix);
    add(on, Capability::kMatrixUnits, bfloat16, bfloat16.shaderBFloat16Type);
    bfloat16.shaderBFloat16CooperativeMatrix = bfloat16.shaderBFloat16Type;
    add(on, Capability::kSubgroupSizeControl, size_control, size_control.subgroupSizeControl);
    size_control.computeFullSubgroups = size_control.subgroupSizeControl;
    if (plan.keep_statistics) add(statistics, statistics.pipelineExecutableInfo);
  }
  FeatureChain(const FeatureChain&) = delete;
  FeatureChain& operator=(const FeatureChain&) = delete;

 private:
  template <typename Link>
  void add(const CapabilitySet& on, Capability capability, Link& link, VkBool32& feature) {
    if (on.has(capability)) add(link, feature);
  }

  template <typename Link>
  void add(Link& link, VkBool32& feature) {
    feature = VK_TRUE;
    link.pNext = features.pNext;
    features.pNext = &link;
  }
};

}  // namespace

void Health::check(VkResult result, std::string_view call) {
  if (result == VK_ERROR_DEVICE_LOST) {
    const std::lock_guard lock(mutex_);
    if (lost_in_.empty()) lost_in_ = call;
  }
  check_result(result, call);
}

bool Health::is_lost() const {
  const std::lock_guard lock(mutex_);
  return !lost_in_.empty();
}

void Health::ensure_alive() const {
  if (is_lost()) fail(ErrorCode::kDevice, "the device was lost in {} and has to be opened again", lost_in_);
}

Context::Context(std::shared_ptr<Instance> instance, VkPhysicalDevice physical, DevicePlan plan)
    : instance_(std::move(instance)), plan_(std::move(plan)) {
  const float priority = 1.0f;
  const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .pNext = nullptr,
                                         .flags = 0,
                                         .queueFamilyIndex = plan_.queue_family,
                                         .queueCount = 1,
                                         .pQueuePriorities = &priority};
  std::vector<const char*> extensions;
  for (const std::string& name : plan_.extensions) extensions.push_back(name.c_str());
  const FeatureChain features(plan_);
  const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                   .pNext = &features.features,
                                   .flags = 0,
                                   .queueCreateInfoCount = 1,
                                   .pQueueCreateInfos = &queue,
                                   .enabledLayerCount = 0,
                                   .ppEnabledLayerNames = nullptr,
                                   .enabledExtensionCount = static_cast<uint32_t>(extensions.size()),
                                   .ppEnabledExtensionNames = extensions.data(),
                                   .pEnabledFeatures = nullptr};
  check_result(vkCreateDevice(physical, &info, nullptr, &device_), "vkCreateDevice");
  volkLoadDeviceTable(&api_, device_);
  api_.vkGetDeviceQueue(device_, plan_.queue_family, 0, &queue_);
}

Context::~Context() {
  if (device_ == VK_NULL_HANDLE) return;
  // RADV's null device cannot even wait for nothing.
  if (!plan_.keep_statistics) api_.vkDeviceWaitIdle(device_);
  api_.vkDestroyDevice(device_, nullptr);
}

bool Context::reserve(uint64_t bytes) {
  const uint64_t budget = plan_.info.limits.memory_bytes;
  if (bytes > budget || reserved_bytes_ > budget - bytes) return false;
  reserved_bytes_ += bytes;
  return true;
}

void Context::ensure_usable() {
  health_.ensure_alive();
  const std::vector<std::string> messages = instance_->validation_log().take();
  if (messages.empty()) return;
  fail(ErrorCode::kDevice, "Vulkan validation, {} message(s): {}", messages.size(), messages.front());
}

}  // namespace nibble::vulkan
