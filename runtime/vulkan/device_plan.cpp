#include "runtime/vulkan/device_plan.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "runtime/vulkan/matrix_units.h"

namespace nibble::vulkan {
namespace {

constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

std::string version_text(uint32_t version) {
  return fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version),
                     VK_API_VERSION_PATCH(version));
}

std::string hex(const std::array<uint8_t, VK_UUID_SIZE>& bytes) { return fmt::format("{:02x}", fmt::join(bytes, "")); }

DeviceType type_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return DeviceType::kDiscreteGpu;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return DeviceType::kIntegratedGpu;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return DeviceType::kVirtualGpu;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return DeviceType::kSoftware;
    default:
      return DeviceType::kOther;
  }
}

uint64_t largest_device_heap(const VkPhysicalDeviceMemoryProperties& memory) {
  uint64_t largest = 0;
  for (uint32_t h = 0; h < memory.memoryHeapCount; ++h) {
    if ((memory.memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0) {
      largest = std::max<uint64_t>(largest, memory.memoryHeaps[h].size);
    }
  }
  return largest;
}

uint64_t heap_size(const VkPhysicalDeviceMemoryProperties& memory, uint32_t type) {
  return memory.memoryHeaps[memory.memoryTypes[type].heapIndex].size;
}

// A family that computes but does not draw leaves the desktop's queue alone; otherwise any that computes.
std::optional<uint32_t> find_queue_family(const std::vector<VkQueueFamilyProperties>& families) {
  std::optional<uint32_t> found;
  for (uint32_t i = 0; i < families.size(); ++i) {
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0 || families[i].queueCount == 0) continue;
    if ((families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0) return i;
    if (!found) found = i;
  }
  return found;
}

DeviceLimits limits_of(const DeviceFacts& facts) {
  const VkPhysicalDeviceLimits& from = facts.properties.limits;
  return {.max_range = from.maxStorageBufferRange,
          .max_allocation = facts.max_allocation,
          .memory_bytes = 0,
          .max_storage_bindings = std::min({from.maxPerStageDescriptorStorageBuffers,
                                            from.maxDescriptorSetStorageBuffers, from.maxPerStageResources}),
          .offset_alignment = static_cast<uint32_t>(std::max<VkDeviceSize>(4, from.minStorageBufferOffsetAlignment)),
          .max_params_bytes = from.maxPushConstantsSize,
          .max_workgroup_size = std::min(from.maxComputeWorkGroupInvocations, from.maxComputeWorkGroupSize[0]),
          .max_workgroup_memory = from.maxComputeSharedMemorySize,
          .max_workgroup_count = {from.maxComputeWorkGroupCount[0], from.maxComputeWorkGroupCount[1],
                                  from.maxComputeWorkGroupCount[2]}};
}

// Any read-only binding that `limits` allow can be read through texels, whatever its elements: even one of 4-byte
// elements that is as long as a binding may be, and as many as a dispatch may have.
bool has_texel_buffers(const DeviceFacts& facts, const DeviceLimits& limits) {
  const VkPhysicalDeviceLimits& from = facts.properties.limits;
  return facts.texel_formats && uint64_t{from.maxTexelBufferElements} * 4 >= limits.max_range &&
         std::min(from.maxPerStageDescriptorSampledImages, from.maxDescriptorSetSampledImages) >=
             limits.max_storage_bindings;
}

CapabilitySet capabilities_of(const DeviceFacts& facts) {
  CapabilitySet set;
  constexpr VkSubgroupFeatureFlags kArithmetic = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
  if ((facts.subgroup_stages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
      (facts.subgroup_operations & kArithmetic) == kArithmetic) {
    set.add(Capability::kSubgroups);
  }
  // GPUs without the instruction have the feature too, and are slower with it than in f32. Software drivers keep it:
  // what needs it is tested there, and is not what they choose.
  const bool software = type_of(facts.properties.deviceType) == DeviceType::kSoftware;
  if (facts.int8_dot && (facts.int8_dot_accelerated || software)) set.add(Capability::kInt8Dot);
  const bool fits = facts.smallest_subgroup <= kMatrixSubgroup && kMatrixSubgroup <= facts.largest_subgroup;
  if (facts.matrix_units && facts.subgroup_size_control && fits) set.add(Capability::kMatrixUnits);
  if (facts.subgroup_size_control) set.add(Capability::kSubgroupSizeControl);
  // What is imported begins at a page of the host's.
  if (facts.host_import_alignment > 0 && facts.host_import_alignment <= 4096) set.add(Capability::kHostImport);
  return set;
}

// Extensions behind the capabilities that are still on. Subgroups are core in 1.1.
std::vector<std::string> extensions_for(const CapabilitySet& set) {
  std::vector<std::string> names;
  if (set.has(Capability::kInt8Dot)) names.emplace_back(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  if (set.has(Capability::kMatrixUnits)) {
    for (const char* name :
         {kCooperativeMatrixExtension, kBfloat16Extension, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME}) {
      names.emplace_back(name);
    }
  }
  if (set.has(Capability::kSubgroupSizeControl)) names.emplace_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  if (set.has(Capability::kHostImport)) names.emplace_back(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  return names;
}

DeviceInfo describe(const DeviceFacts& facts) {
  DeviceInfo info;
  info.backend = BackendKind::kVulkan;
  info.type = type_of(facts.properties.deviceType);
  info.name = facts.properties.deviceName;
  info.driver = facts.driver_name;
  info.driver_version = facts.driver_info.empty() ? version_text(facts.properties.driverVersion) : facts.driver_info;
  info.api_version = version_text(facts.properties.apiVersion);
  info.uuid = hex(facts.device_uuid);
  info.pci_address = facts.pci_address;
  info.subgroup_size = facts.subgroup_size;
  info.smallest_subgroup = facts.smallest_subgroup;
  info.largest_subgroup = facts.largest_subgroup;
  return info;
}

// Picks memory types and says whether buffers can be written in place.
void plan_memory(const DeviceFacts& facts, DevicePlan& plan) {
  const auto cached = find_memory_type(facts.memory, kVisible, VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
  const auto local = find_memory_type(facts.memory, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0);
  const auto mapped = find_memory_type(
      facts.memory, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT | kVisible, 0);
  if (!cached || !local) {
    plan.unusable = "it has no memory that the host can write";
    return;
  }
  plan.host_memory_type = *cached;
  plan.device_memory_type = *local;
  // One memory for host and device: the cached type must reach all of it, and reading must not go over a bus.
  const bool shared_memory = plan.info.type != DeviceType::kDiscreteGpu && mapped.has_value() &&
                             heap_size(facts.memory, *mapped) == largest_device_heap(facts.memory);
  if (!shared_memory) return;
  plan.info.capabilities.add(Capability::kMappedMemory);
  plan.device_memory_type = *mapped;
}

void plan_timestamps(const DeviceFacts& facts, DevicePlan& plan) {
  const uint32_t bits = facts.queue_families[plan.queue_family].timestampValidBits;
  if (bits == 0 || !(facts.properties.limits.timestampPeriod > 0)) return;
  plan.info.capabilities.add(Capability::kTimestamps);
  plan.seconds_per_tick = 1e-9 * static_cast<double>(facts.properties.limits.timestampPeriod);
  plan.timestamp_mask = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

// What nibble may plan with. Software drivers report a made-up heap (2 GiB) and take their memory from the host.
uint64_t memory_budget(const DeviceFacts& facts, DevicePlan& plan, uint64_t host_memory) {
  const uint64_t heap = largest_device_heap(facts.memory);
  if (plan.info.type == DeviceType::kSoftware && host_memory > 0) {
    plan.info.notes.push_back(fmt::format("memory is the host's; the driver itself reports {}", format_bytes(heap)));
    return host_memory;
  }
  return facts.memory_budget > 0 ? std::min(heap, facts.memory_budget) : heap;
}

// Kernels with subgroups ask for options.subgroup_size invocations, or the device cannot be used.
void plan_subgroups(const DeviceOptions& options, DevicePlan& plan) {
  DeviceInfo& info = plan.info;
  if (!info.capabilities.has(Capability::kSubgroupSizeControl)) info.smallest_subgroup = info.largest_subgroup = 0;
  const uint32_t size = options.subgroup_size;
  if (size == 0) return;
  plan.subgroup_size = size;
  if (std::has_single_bit(size) && size >= info.smallest_subgroup && size <= info.largest_subgroup) {
    info.subgroup_size = size;
    return;
  }
  const std::string allowed = info.largest_subgroup == 0
                                  ? std::string("no choice")
                                  : fmt::format("{} to {}", info.smallest_subgroup, info.largest_subgroup);
  plan.unusable = fmt::format("subgroups of {} invocations were asked for; it allows {}", size, allowed);
  info.notes.push_back("not usable: " + plan.unusable);
}

}  // namespace

std::optional<uint32_t> find_memory_type(const VkPhysicalDeviceMemoryProperties& memory, VkMemoryPropertyFlags required,
                                         VkMemoryPropertyFlags preferred, uint32_t allowed) {
  std::optional<uint32_t> best;
  const auto is_preferred = [&](uint32_t type) {
    return (memory.memoryTypes[type].propertyFlags & preferred) == preferred;
  };
  // Types that need a feature to be used at all, or are slow on purpose (AMD's device-coherent ones).
  constexpr VkMemoryPropertyFlags kSpecial =
      VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
      VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
  for (uint32_t type = 0; type < memory.memoryTypeCount; ++type) {
    const VkMemoryPropertyFlags flags = memory.memoryTypes[type].propertyFlags;
    const bool is_allowed = (allowed & (1u << type)) != 0 && (flags & kSpecial) == 0;
    if (!is_allowed || (flags & required) != required) continue;
    const bool better =
        !best || (is_preferred(type) && !is_preferred(*best)) ||
        (is_preferred(type) == is_preferred(*best) && heap_size(memory, type) > heap_size(memory, *best));
    if (better) best = type;
  }
  return best;
}

bool same_device(const DeviceFacts& a, const DeviceFacts& b) {
  return a.driver_id == b.driver_id && a.driver_name == b.driver_name && a.device_uuid == b.device_uuid &&
         a.properties.vendorID == b.properties.vendorID && a.properties.deviceID == b.properties.deviceID;
}

DevicePlan plan_device(const DeviceFacts& facts, const DeviceOptions& options, uint64_t host_memory) {
  DevicePlan plan;
  plan.facts = facts;
  plan.info = describe(facts);
  plan.max_allocations = facts.properties.limits.maxMemoryAllocationCount;
  if (facts.properties.apiVersion < VK_API_VERSION_1_1) {
    plan.unusable = fmt::format("its driver is Vulkan {}, expected at least 1.1", plan.info.api_version);
    plan.info.notes.push_back("not usable: " + plan.unusable);
    return plan;
  }
  plan.info.limits = limits_of(facts);
  plan.info.capabilities = capabilities_of(facts);
  if (has_texel_buffers(facts, plan.info.limits)) plan.info.capabilities.add(Capability::kTexelBuffers);
  const std::optional<uint32_t> family = find_queue_family(facts.queue_families);
  if (largest_device_heap(facts.memory) == 0) {
    plan.info.type = DeviceType::kNull;
    plan.unusable = "it has no memory (a driver without its hardware)";
  } else if (!family) {
    plan.unusable = "it has no compute queue";
  } else {
    plan.queue_family = *family;
    plan_memory(facts, plan);
    plan_timestamps(facts, plan);
    plan.info.limits.memory_bytes = memory_budget(facts, plan, host_memory);
  }
  if (!plan.unusable.empty()) plan.info.notes.push_back("not usable: " + plan.unusable);

  for (const Capability capability : options.disabled) plan.info.capabilities.remove(capability);
  // Kernels ask for the size of the subgroups that hold matrices.
  if (!plan.info.capabilities.has(Capability::kSubgroupSizeControl)) {
    plan.info.capabilities.remove(Capability::kMatrixUnits);
  }
  for (const std::string& limit : options.limits) apply_limit(plan.info, limit);
  if (options.as_gpu) treat_as_gpu(plan.info);
  if (plan.unusable.empty()) plan_subgroups(options, plan);
  plan.device_memory_is_mapped = plan.info.capabilities.has(Capability::kMappedMemory);
  if (!plan.info.capabilities.has(Capability::kTimestamps)) plan.timestamp_mask = 0;
  plan.extensions = extensions_for(plan.info.capabilities);
  if (plan.info.capabilities.has(Capability::kTexelBuffers)) {
    const uint64_t needed = facts.properties.limits.minTexelBufferOffsetAlignment;
    plan.info.limits.offset_alignment = std::max(plan.info.limits.offset_alignment, static_cast<uint32_t>(needed));
  }
  return plan;
}

}  // namespace nibble::vulkan
