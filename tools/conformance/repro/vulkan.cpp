// @HEAD@

#include <vulkan/vulkan.h>

namespace {

// @CHECKS@

// One descriptor: a view of a buffer, with guard bytes before and after it.
struct Part {
  const char* name;
  const char* before;  // file: the whole buffer before the dispatch
  uint64_t offset;     // of the view
  uint64_t bytes;      // of the view
  VkDeviceSize range;  // of the descriptor
  VkFormat format;     // of a uniform texel buffer; VK_FORMAT_UNDEFINED: a storage buffer
  bool is_host;        // lies in host memory in any case
  Check check;
  const char* expected;  // file, or ""
  const char* allowed;   // file, or ""
};

// @CASE@

// ---- end of the case ----------------------------------------------------------------------------------------------

// @BASICS@

void check(VkResult result, const char* call) {
  if (result < 0) fail(std::string(call) + " gave VkResult " + std::to_string(result));
}

// ---- device -------------------------------------------------------------------------------------------------------

VkInstance make_instance() {
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.apiVersion = VK_API_VERSION_1_1;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  VkInstance instance = VK_NULL_HANDLE;
  const VkResult result = vkCreateInstance(&info, nullptr, &instance);
  if (result != VK_SUCCESS) give_up("vkCreateInstance gave VkResult " + std::to_string(result));
  return instance;
}

VkPhysicalDevice pick_device(VkInstance instance, const char* wanted) {
  uint32_t count = 0;
  vkEnumeratePhysicalDevices(instance, &count, nullptr);
  std::vector<VkPhysicalDevice> devices(count);
  vkEnumeratePhysicalDevices(instance, &count, devices.data());
  std::vector<std::string> names;
  for (const VkPhysicalDevice device : devices) {
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device, &properties);
    names.push_back(properties.deviceName);
  }
  return devices[choose_device(names, wanted)];
}

bool has_extension(VkPhysicalDevice device, const char* name) {
  uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> all(count);
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, all.data());
  for (const VkExtensionProperties& extension : all) {
    if (std::strcmp(extension.extensionName, name) == 0) return true;
  }
  return false;
}

uint32_t queue_family(VkPhysicalDevice device) {
  uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  uint32_t found = count;
  for (uint32_t i = 0; i < count; ++i) {
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) continue;
    if ((families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0) return i;
    if (found == count) found = i;
  }
  if (found == count) give_up("the device has no compute queue");
  return found;
}

// The features and extensions that were on where the case failed. One that this device lacks is left out and named.
class Features {
 public:
  explicit Features(VkPhysicalDevice device) : device_(device) {
    base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    link(dot_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES, kWantsInt8Dot,
         VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
    link(size_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES, kWantsSubgroupSizeControl,
         VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    link(model_, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, kWantsMatrixUnits,
         VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);
    // By number: VK_KHR_cooperative_matrix and VK_KHR_shader_bfloat16 are younger than many headers.
    link(matrix_, static_cast<VkStructureType>(1000506000), kWantsMatrixUnits, "VK_KHR_cooperative_matrix");
    link(bfloat16_, static_cast<VkStructureType>(1000141000), kWantsMatrixUnits, "VK_KHR_shader_bfloat16");
    vkGetPhysicalDeviceFeatures2(device, &base);
    // Now the structures say what there is; what is not wanted goes off.
    base.features = {};
    dot_.shaderIntegerDotProduct = keep("shaderIntegerDotProduct", kWantsInt8Dot, dot_.shaderIntegerDotProduct);
    size_.subgroupSizeControl = keep("subgroupSizeControl", kWantsSubgroupSizeControl, size_.subgroupSizeControl);
    model_.vulkanMemoryModel = keep("vulkanMemoryModel", kWantsMatrixUnits, model_.vulkanMemoryModel);
    model_.vulkanMemoryModelDeviceScope = model_.vulkanMemoryModelAvailabilityVisibilityChains = VK_FALSE;
    matrix_.on[0] = keep("cooperativeMatrix", kWantsMatrixUnits, matrix_.on[0]);
    bfloat16_.on[0] = keep("shaderBFloat16Type", kWantsMatrixUnits, bfloat16_.on[0]);
    bfloat16_.on[2] = keep("shaderBFloat16CooperativeMatrix", kWantsMatrixUnits, bfloat16_.on[2]);
    matrix_.on[1] = bfloat16_.on[1] = VK_FALSE;
    size_.computeFullSubgroups = keep("computeFullSubgroups", kWantsSubgroupSizeControl, size_.computeFullSubgroups);
  }
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;

  VkPhysicalDeviceFeatures2 base{};
  std::vector<const char*> extensions;

 private:
  template <typename Link>
  void link(Link& part, VkStructureType type, bool is_wanted, const char* extension) {
    part.sType = type;
    if (!is_wanted || (extension != nullptr && !has_extension(device_, extension))) return;
    part.pNext = base.pNext;
    base.pNext = &part;
    if (extension != nullptr) extensions.push_back(extension);
  }

  static VkBool32 keep(const char* name, bool is_wanted, VkBool32 is_there) {
    if (is_wanted && is_there == VK_FALSE) std::printf("note: this device has no %s\n", name);
    return is_wanted && is_there != VK_FALSE ? VK_TRUE : VK_FALSE;
  }

  struct Switches {
    VkStructureType sType;
    void* pNext;
    VkBool32 on[3];
  };

  VkPhysicalDevice device_;
  VkPhysicalDeviceVulkanMemoryModelFeatures model_{};
  Switches matrix_{};    // cooperativeMatrix, its robust buffer access
  Switches bfloat16_{};  // the type, dot products, matrices
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot_{};
  VkPhysicalDeviceSubgroupSizeControlFeatures size_{};
};

void require(const char* limit, uint64_t needed, uint64_t there) {
  if (needed <= there) return;
  give_up(std::string(limit) + " is " + std::to_string(there) + " here, the case needs " + std::to_string(needed));
}

// What is wrong beyond a device's limits is no fault of its driver.
void require_limits(VkPhysicalDevice device) {
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(device, &properties);
  const VkPhysicalDeviceLimits& limits = properties.limits;
  require("maxPushConstantsSize", kParams.size() * 4, limits.maxPushConstantsSize);
  require("maxComputeWorkGroupInvocations", kWorkgroup, limits.maxComputeWorkGroupInvocations);
  require("maxComputeWorkGroupSize[0]", kWorkgroup, limits.maxComputeWorkGroupSize[0]);
  for (size_t i = 0; i < 3; ++i) require("maxComputeWorkGroupCount", kGrid[i], limits.maxComputeWorkGroupCount[i]);
  for (const Part& part : kParts) {
    const bool is_texels = part.format != VK_FORMAT_UNDEFINED;
    const uint64_t alignment =
        is_texels ? limits.minTexelBufferOffsetAlignment : limits.minStorageBufferOffsetAlignment;
    if (alignment > 0 && part.offset % alignment != 0) {
      give_up("views begin at multiples of " + std::to_string(alignment) + " here, that of " + part.name + " at " +
              std::to_string(part.offset));
    }
    if (!is_texels) {
      require("maxStorageBufferRange", part.bytes, limits.maxStorageBufferRange);
      continue;
    }
    VkFormatProperties format;
    vkGetPhysicalDeviceFormatProperties(device, part.format, &format);
    if ((format.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT) == 0) {
      give_up(std::string("no uniform texel buffers of the format of ") + part.name + " here");
    }
    require("maxTexelBufferElements", part.range / 4, limits.maxTexelBufferElements);
  }
}

struct Gpu {
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkFence fence = VK_NULL_HANDLE;
};

Gpu open_device(VkPhysicalDevice physical) {
  Gpu gpu;
  gpu.physical = physical;
  const uint32_t family = queue_family(physical);
  const float priority = 1;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = family;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  const Features features(physical);
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = &features.base;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.enabledExtensionCount = static_cast<uint32_t>(features.extensions.size());
  info.ppEnabledExtensionNames = features.extensions.data();
  check(vkCreateDevice(physical, &info, nullptr, &gpu.device), "vkCreateDevice");
  vkGetDeviceQueue(gpu.device, family, 0, &gpu.queue);
  VkCommandPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.queueFamilyIndex = family;
  check(vkCreateCommandPool(gpu.device, &pool, nullptr, &gpu.pool), "vkCreateCommandPool");
  VkFenceCreateInfo fence{};
  fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
  check(vkCreateFence(gpu.device, &fence, nullptr, &gpu.fence), "vkCreateFence");
  return gpu;
}

VkCommandBuffer begin_commands(const Gpu& gpu) {
  VkCommandBufferAllocateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  info.commandPool = gpu.pool;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  check(vkAllocateCommandBuffers(gpu.device, &info, &commands), "vkAllocateCommandBuffers");
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
  return commands;
}

void submit_and_wait(const Gpu& gpu, VkCommandBuffer commands) {
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  check(vkQueueSubmit(gpu.queue, 1, &info, gpu.fence), "vkQueueSubmit");
  check(vkWaitForFences(gpu.device, 1, &gpu.fence, VK_TRUE, UINT64_MAX), "vkWaitForFences");
  check(vkResetFences(gpu.device, 1, &gpu.fence), "vkResetFences");
}

void barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags wrote, VkPipelineStageFlags to,
             VkAccessFlags reads) {
  VkMemoryBarrier memory{};
  memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  memory.srcAccessMask = wrote;
  memory.dstAccessMask = reads;
  vkCmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, nullptr, 0, nullptr);
}

// ---- buffers ------------------------------------------------------------------------------------------------------

struct Buffer {
  VkBuffer buffer = VK_NULL_HANDLE;
  unsigned char* mapped = nullptr;  // null: written and read through a staging buffer
};

uint32_t memory_type(VkPhysicalDevice device, uint32_t allowed, VkMemoryPropertyFlags best,
                     VkMemoryPropertyFlags need) {
  VkPhysicalDeviceMemoryProperties memory;
  vkGetPhysicalDeviceMemoryProperties(device, &memory);
  for (const VkMemoryPropertyFlags flags : {best, need}) {
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
      if ((allowed & (1u << i)) != 0 && (memory.memoryTypes[i].propertyFlags & flags) == flags) return i;
    }
  }
  give_up("the device has no memory of the kind that is needed");
}

Buffer make_buffer(const Gpu& gpu, uint64_t bytes, bool is_host) {
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = (bytes + 15) / 16 * 16;  // kernels read whole vectors of 16 bytes
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
  if (kWantsTexelBuffers) info.usage |= VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
  Buffer made;
  check(vkCreateBuffer(gpu.device, &info, nullptr, &made.buffer), "vkCreateBuffer");
  VkMemoryRequirements needed;
  vkGetBufferMemoryRequirements(gpu.device, made.buffer, &needed);
  const VkMemoryPropertyFlags visible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  const VkMemoryPropertyFlags cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  const bool is_mapped = is_host || kIsMapped;
  VkMemoryAllocateInfo allocation{};
  allocation.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocation.allocationSize = needed.size;
  allocation.memoryTypeIndex =
      is_mapped ? memory_type(gpu.physical, needed.memoryTypeBits, visible | cached | (is_host ? 0 : local), visible)
                : memory_type(gpu.physical, needed.memoryTypeBits, local, local);
  VkDeviceMemory memory = VK_NULL_HANDLE;
  check(vkAllocateMemory(gpu.device, &allocation, nullptr, &memory), "vkAllocateMemory");
  check(vkBindBufferMemory(gpu.device, made.buffer, memory, 0), "vkBindBufferMemory");
  if (is_mapped) {
    void* address = nullptr;
    check(vkMapMemory(gpu.device, memory, 0, VK_WHOLE_SIZE, 0, &address), "vkMapMemory");
    made.mapped = static_cast<unsigned char*>(address);
  }
  return made;
}

void copy(const Gpu& gpu, VkBuffer from, VkBuffer to, uint64_t bytes) {
  const VkCommandBuffer commands = begin_commands(gpu);
  const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
  const VkAccessFlags any = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
  barrier(commands, all, any, all, any);
  const VkBufferCopy piece{0, 0, bytes};
  vkCmdCopyBuffer(commands, from, to, 1, &piece);
  barrier(commands, all, any, all | VK_PIPELINE_STAGE_HOST_BIT, any | VK_ACCESS_HOST_READ_BIT);
  check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
  submit_and_wait(gpu, commands);
}

void write(const Gpu& gpu, const Buffer& buffer, const Buffer& staging, const Bytes& content) {
  unsigned char* to = buffer.mapped != nullptr ? buffer.mapped : staging.mapped;
  std::memcpy(to, content.data(), content.size());
  if (buffer.mapped == nullptr) copy(gpu, staging.buffer, buffer.buffer, content.size());
}

Bytes read(const Gpu& gpu, const Buffer& buffer, const Buffer& staging, size_t bytes) {
  if (buffer.mapped == nullptr) copy(gpu, buffer.buffer, staging.buffer, bytes);
  const unsigned char* from = buffer.mapped != nullptr ? buffer.mapped : staging.mapped;
  return {from, from + bytes};
}

// ---- pipeline -----------------------------------------------------------------------------------------------------

VkDescriptorType type_of(const Part& part) {
  return part.format == VK_FORMAT_UNDEFINED ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                            : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
}

struct Kernel {
  VkPipeline pipeline = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  VkDescriptorSet set = VK_NULL_HANDLE;
};

VkDescriptorSetLayout make_set_layout(const Gpu& gpu) {
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (const Part& part : kParts) {
    VkDescriptorSetLayoutBinding binding{};
    binding.binding = static_cast<uint32_t>(bindings.size());
    binding.descriptorType = type_of(part);
    binding.descriptorCount = 1;
    binding.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    bindings.push_back(binding);
  }
  VkDescriptorSetLayoutCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  info.bindingCount = static_cast<uint32_t>(bindings.size());
  info.pBindings = bindings.data();
  VkDescriptorSetLayout layout = VK_NULL_HANDLE;
  check(vkCreateDescriptorSetLayout(gpu.device, &info, nullptr, &layout), "vkCreateDescriptorSetLayout");
  return layout;
}

VkDescriptorSet make_set(const Gpu& gpu, VkDescriptorSetLayout layout, const std::vector<Buffer>& buffers) {
  const uint32_t count = static_cast<uint32_t>(buffers.size());
  const VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, count},
                                        {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, count}};
  VkDescriptorPoolCreateInfo pool_info{};
  pool_info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
  pool_info.maxSets = 1;
  pool_info.poolSizeCount = 2;
  pool_info.pPoolSizes = sizes;
  VkDescriptorPool pool = VK_NULL_HANDLE;
  check(vkCreateDescriptorPool(gpu.device, &pool_info, nullptr, &pool), "vkCreateDescriptorPool");
  VkDescriptorSetAllocateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  info.descriptorPool = pool;
  info.descriptorSetCount = 1;
  info.pSetLayouts = &layout;
  VkDescriptorSet set = VK_NULL_HANDLE;
  check(vkAllocateDescriptorSets(gpu.device, &info, &set), "vkAllocateDescriptorSets");
  for (uint32_t i = 0; i < count; ++i) {
    const Part& part = kParts[i];
    const VkDescriptorBufferInfo piece{buffers[i].buffer, part.offset, part.range};
    VkBufferView view = VK_NULL_HANDLE;
    if (part.format != VK_FORMAT_UNDEFINED) {
      VkBufferViewCreateInfo view_info{};
      view_info.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO;
      view_info.buffer = piece.buffer;
      view_info.format = part.format;
      view_info.offset = piece.offset;
      view_info.range = piece.range;
      check(vkCreateBufferView(gpu.device, &view_info, nullptr, &view), "vkCreateBufferView");
    }
    VkWriteDescriptorSet written{};
    written.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    written.dstSet = set;
    written.dstBinding = i;
    written.descriptorCount = 1;
    written.descriptorType = type_of(part);
    written.pBufferInfo = &piece;
    written.pTexelBufferView = &view;
    vkUpdateDescriptorSets(gpu.device, 1, &written, 0, nullptr);
  }
  return set;
}

Kernel make_kernel(const Gpu& gpu, const std::vector<Buffer>& buffers) {
  const std::vector<uint32_t> code = load_as<uint32_t>("kernel.spv");
  Kernel kernel;
  const VkDescriptorSetLayout set_layout = make_set_layout(gpu);
  const VkPushConstantRange params{VK_SHADER_STAGE_COMPUTE_BIT, 0, static_cast<uint32_t>(kParams.size() * 4)};
  VkPipelineLayoutCreateInfo layout_info{};
  layout_info.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  layout_info.setLayoutCount = 1;
  layout_info.pSetLayouts = &set_layout;
  layout_info.pushConstantRangeCount = kParams.empty() ? 0 : 1;
  layout_info.pPushConstantRanges = &params;
  check(vkCreatePipelineLayout(gpu.device, &layout_info, nullptr, &kernel.layout), "vkCreatePipelineLayout");
  VkShaderModuleCreateInfo module_info{};
  module_info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  module_info.codeSize = code.size() * 4;
  module_info.pCode = code.data();
  VkShaderModule module = VK_NULL_HANDLE;
  check(vkCreateShaderModule(gpu.device, &module_info, nullptr, &module), "vkCreateShaderModule");
  VkComputePipelineCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{};
  subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
  subgroup.requiredSubgroupSize = kSubgroup;
  if (kSubgroup != 0) {
    info.stage.pNext = &subgroup;
    if (kWorkgroup % kSubgroup == 0) info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  }
  info.layout = kernel.layout;
  check(vkCreateComputePipelines(gpu.device, VK_NULL_HANDLE, 1, &info, nullptr, &kernel.pipeline),
        "vkCreateComputePipelines");
  kernel.set = make_set(gpu, set_layout, buffers);
  return kernel;
}

VkCommandBuffer record(const Gpu& gpu, const Kernel& kernel, const Buffer& grid) {
  const VkCommandBuffer commands = begin_commands(gpu);
  const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
  const VkPipelineStageFlags transfer = VK_PIPELINE_STAGE_TRANSFER_BIT;
  barrier(commands, compute | transfer,
          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
              VK_ACCESS_TRANSFER_WRITE_BIT,
          compute, VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
  vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.pipeline);
  vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.layout, 0, 1, &kernel.set, 0, nullptr);
  if (!kParams.empty()) {
    vkCmdPushConstants(commands, kernel.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                       static_cast<uint32_t>(kParams.size() * 4), kParams.data());
  }
  if (kIsIndirect) {
    vkCmdDispatchIndirect(commands, grid.buffer, 0);
  } else {
    vkCmdDispatch(commands, kGrid[0], kGrid[1], kGrid[2]);
  }
  barrier(commands, compute, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
  return commands;
}

// @COMPARE@

}  // namespace

int main(int argc, char** argv) {
  watch();
  std::vector<Bytes> before;
  size_t largest = 0;
  for (const Part& part : kParts) {
    before.push_back(load(part.before));
    largest = before.back().size() > largest ? before.back().size() : largest;
  }
  const VkPhysicalDevice physical = pick_device(make_instance(), argc > 1 ? argv[1] : nullptr);
  require_limits(physical);
  const Gpu gpu = open_device(physical);
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < before.size(); ++i) buffers.push_back(make_buffer(gpu, before[i].size(), kParts[i].is_host));
  const Buffer staging = make_buffer(gpu, largest, true);
  const Buffer grid = make_buffer(gpu, sizeof kGrid, true);
  std::memcpy(grid.mapped, kGrid, sizeof kGrid);
  const VkCommandBuffer commands = record(gpu, make_kernel(gpu, buffers), grid);

  std::vector<Bytes> first;
  for (uint32_t run = 0; run < kRuns; ++run) {
    for (size_t i = 0; i < buffers.size(); ++i) write(gpu, buffers[i], staging, before[i]);
    submit_and_wait(gpu, commands);
    std::vector<Bytes> found;
    for (size_t i = 0; i < buffers.size(); ++i) found.push_back(read(gpu, buffers[i], staging, before[i].size()));
    if (run == 0) first = found;
    require_right(before, found, first);
  }
  pass();
}
