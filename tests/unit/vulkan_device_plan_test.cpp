// How nibble decides to use a Vulkan device, from facts as drivers report them.
#include <algorithm>

#include <gtest/gtest.h>

#include "runtime/vulkan/device_plan.h"

namespace nibble::vulkan {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

void add_heap(DeviceFacts& facts, uint64_t bytes, bool device_local) {
  facts.memory.memoryHeaps[facts.memory.memoryHeapCount++] = {
      .size = bytes, .flags = device_local ? VkMemoryHeapFlags{VK_MEMORY_HEAP_DEVICE_LOCAL_BIT} : 0u};
}
void add_type(DeviceFacts& facts, VkMemoryPropertyFlags flags, uint32_t heap) {
  facts.memory.memoryTypes[facts.memory.memoryTypeCount++] = {.propertyFlags = flags, .heapIndex = heap};
}

// A device of Vulkan 1.1 with the limits that everything has, one queue family and no memory.
DeviceFacts basic_facts(VkPhysicalDeviceType type) {
  DeviceFacts facts;
  facts.properties.apiVersion = VK_API_VERSION_1_1;
  facts.properties.deviceType = type;
  VkPhysicalDeviceLimits& limits = facts.properties.limits;
  limits.maxStorageBufferRange = 128u << 20;
  limits.maxPerStageDescriptorStorageBuffers = 30;
  limits.maxDescriptorSetStorageBuffers = 96;
  limits.maxPerStageResources = 128;
  limits.minStorageBufferOffsetAlignment = 256;
  limits.maxPushConstantsSize = 128;
  limits.maxComputeWorkGroupInvocations = 256;
  limits.maxComputeWorkGroupSize[0] = 128;
  limits.maxComputeSharedMemorySize = 32768;
  limits.timestampPeriod = 2.5f;
  limits.maxMemoryAllocationCount = 4096;
  facts.max_allocation = kGiB;
  facts.queue_families.push_back(
      {.queueFlags = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT, .queueCount = 1, .timestampValidBits = 36});
  return facts;
}

DeviceFacts software_facts() {
  DeviceFacts facts = basic_facts(VK_PHYSICAL_DEVICE_TYPE_CPU);
  add_heap(facts, 2 * kGiB, true);
  add_type(facts, kLocal | kVisible | kCached, 0);
  return facts;
}

// 16 GiB of its own, 256 MiB of them visible, host memory uncached and cached, as AMD's drivers order them.
DeviceFacts discrete_facts() {
  DeviceFacts facts = basic_facts(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
  add_heap(facts, 16 * kGiB, true);
  add_heap(facts, 32 * kGiB, false);
  add_heap(facts, kGiB / 4, true);
  add_type(facts, kLocal, 0);
  add_type(facts, kVisible, 1);
  add_type(facts, kLocal | kVisible, 2);
  add_type(facts, kVisible | kCached, 1);
  add_type(facts, kLocal | kVisible | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD, 0);
  return facts;
}

TEST(VulkanDevicePlan, LimitsAreTheSmallestOfThoseThatCount) {
  const DevicePlan plan = plan_device(software_facts(), {}, 8 * kGiB);
  EXPECT_EQ(plan.unusable, "");
  EXPECT_EQ(plan.info.limits.max_range, 128u << 20);
  EXPECT_EQ(plan.info.limits.max_allocation, kGiB);
  EXPECT_EQ(plan.info.limits.max_storage_bindings, 30u);
  EXPECT_EQ(plan.info.limits.offset_alignment, 256u);
  EXPECT_EQ(plan.info.limits.max_workgroup_size, 128u);
  EXPECT_EQ(plan.info.limits.max_params_bytes, 128u);
}

TEST(VulkanDevicePlan, TexelBuffersAreForDriversWhereTheyReachAllOfABinding) {
  DeviceFacts facts = software_facts();
  facts.texel_formats = true;
  VkPhysicalDeviceLimits& limits = facts.properties.limits;
  limits.maxTexelBufferElements = 32u << 20;
  limits.maxPerStageDescriptorSampledImages = 30;
  limits.maxDescriptorSetSampledImages = 96;
  limits.minTexelBufferOffsetAlignment = 1024;
  const DevicePlan plan = plan_device(facts, {}, 8 * kGiB);
  EXPECT_TRUE(plan.info.capabilities.has(Capability::kTexelBuffers));
  EXPECT_EQ(plan.info.limits.offset_alignment, 1024u);

  const DevicePlan disabled = plan_device(facts, {.disabled = {Capability::kTexelBuffers}}, 8 * kGiB);
  EXPECT_FALSE(disabled.info.capabilities.has(Capability::kTexelBuffers));
  EXPECT_EQ(disabled.info.limits.offset_alignment, 256u);

  const auto has_texels = [](const DeviceFacts& changed) {
    return plan_device(changed, {}, 8 * kGiB).info.capabilities.has(Capability::kTexelBuffers);
  };
  DeviceFacts short_buffers = facts;
  short_buffers.properties.limits.maxTexelBufferElements = (32u << 20) - 1;
  EXPECT_FALSE(has_texels(short_buffers)) << "a binding of 128 MiB has more words";
  DeviceFacts few = facts;
  few.properties.limits.maxPerStageDescriptorSampledImages = 29;
  EXPECT_FALSE(has_texels(few)) << "a dispatch may bind 30 buffers";
  DeviceFacts no_formats = facts;
  no_formats.texel_formats = false;
  EXPECT_FALSE(has_texels(no_formats));
}

TEST(VulkanDevicePlan, SoftwareDriversTakeTheHostsMemory) {
  const DevicePlan plan = plan_device(software_facts(), {}, 8 * kGiB);
  EXPECT_EQ(plan.info.type, DeviceType::kSoftware);
  EXPECT_EQ(plan.info.limits.memory_bytes, 8 * kGiB);
  ASSERT_EQ(plan.info.notes.size(), 1u);
  EXPECT_NE(plan.info.notes[0].find("2.00 GiB"), std::string::npos);
  // Where the host does not tell, the driver's word stands.
  EXPECT_EQ(plan_device(software_facts(), {}, 0).info.limits.memory_bytes, 2 * kGiB);
}

TEST(VulkanDevicePlan, SharedMemoryIsMappedUnlessSwitchedOff) {
  DevicePlan plan = plan_device(software_facts(), {}, kGiB);
  EXPECT_TRUE(plan.device_memory_is_mapped);
  EXPECT_EQ(plan.device_memory_type, 0u);
  plan = plan_device(software_facts(), {.disabled = {Capability::kMappedMemory}}, kGiB);
  EXPECT_FALSE(plan.device_memory_is_mapped);
  EXPECT_EQ(plan.unusable, "");
}

TEST(VulkanDevicePlan, DiscreteGpusStageThroughCachedHostMemory) {
  const DevicePlan plan = plan_device(discrete_facts(), {}, 8 * kGiB);
  EXPECT_EQ(plan.device_memory_type, 0u);
  EXPECT_EQ(plan.host_memory_type, 3u);
  EXPECT_FALSE(plan.device_memory_is_mapped);
  EXPECT_EQ(plan.info.limits.memory_bytes, 16 * kGiB);
  DeviceFacts used = discrete_facts();
  used.memory_budget = 11 * kGiB;
  EXPECT_EQ(plan_device(used, {}, 8 * kGiB).info.limits.memory_bytes, 11 * kGiB);
}

TEST(VulkanDevicePlan, AMappedPartOfAnIntegratedGpusMemoryIsNotEnough) {
  DeviceFacts facts = basic_facts(VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU);
  add_heap(facts, 8 * kGiB, true);
  add_heap(facts, kGiB / 4, true);
  add_type(facts, kLocal, 0);
  add_type(facts, kLocal | kVisible | kCached, 1);
  EXPECT_FALSE(plan_device(facts, {}, kGiB).device_memory_is_mapped);
  add_type(facts, kLocal | kVisible | kCached, 0);
  EXPECT_TRUE(plan_device(facts, {}, kGiB).device_memory_is_mapped);
  EXPECT_EQ(plan_device(facts, {}, kGiB).device_memory_type, 2u);
}

TEST(VulkanDevicePlan, ADeviceWithoutMemoryIsListedAndNotUsed) {
  DeviceFacts facts = basic_facts(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
  add_heap(facts, 0, true);
  add_type(facts, kLocal, 0);
  const DevicePlan plan = plan_device(facts, {}, kGiB);
  EXPECT_EQ(plan.info.type, DeviceType::kNull);
  EXPECT_NE(plan.unusable, "");
  EXPECT_FALSE(plan.info.notes.empty());
}

TEST(VulkanDevicePlan, OldDriversAreListedAndNotUsed) {
  DeviceFacts facts = software_facts();
  facts.properties.apiVersion = VK_API_VERSION_1_0;
  EXPECT_NE(plan_device(facts, {}, kGiB).unusable.find("1.0.0"), std::string::npos);
}

TEST(VulkanDevicePlan, PrefersAQueueThatOnlyComputes) {
  DeviceFacts facts = discrete_facts();
  facts.queue_families.push_back({.queueFlags = VK_QUEUE_TRANSFER_BIT, .queueCount = 1, .timestampValidBits = 64});
  EXPECT_EQ(plan_device(facts, {}, kGiB).queue_family, 0u);
  facts.queue_families.push_back({.queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 1, .timestampValidBits = 64});
  EXPECT_EQ(plan_device(facts, {}, kGiB).queue_family, 2u);
  facts.queue_families.resize(2);
  facts.queue_families[0].queueFlags = VK_QUEUE_GRAPHICS_BIT;
  EXPECT_NE(plan_device(facts, {}, kGiB).unusable.find("compute queue"), std::string::npos);
}

TEST(VulkanDevicePlan, TimestampsNeedValidBits) {
  const DevicePlan plan = plan_device(software_facts(), {}, kGiB);
  EXPECT_TRUE(plan.info.capabilities.has(Capability::kTimestamps));
  EXPECT_EQ(plan.timestamp_mask, (uint64_t{1} << 36) - 1);
  EXPECT_DOUBLE_EQ(plan.seconds_per_tick, 2.5e-9);
  DeviceFacts without = software_facts();
  without.queue_families[0].timestampValidBits = 0;
  EXPECT_FALSE(plan_device(without, {}, kGiB).info.capabilities.has(Capability::kTimestamps));
  EXPECT_EQ(plan_device(software_facts(), {.disabled = {Capability::kTimestamps}}, kGiB).timestamp_mask, 0u);
}

TEST(VulkanDevicePlan, CapabilitiesComeFromFeaturesAndCanBeSwitchedOff) {
  DeviceFacts facts = software_facts();
  EXPECT_FALSE(plan_device(facts, {}, kGiB).info.capabilities.has(Capability::kSubgroups));
  facts.subgroup_stages = VK_SHADER_STAGE_COMPUTE_BIT;
  facts.subgroup_operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
  facts.int8_dot = facts.subgroup_size_control = true;
  const CapabilitySet all = plan_device(facts, {}, kGiB).info.capabilities;
  EXPECT_TRUE(all.covers({Capability::kSubgroups, Capability::kInt8Dot, Capability::kSubgroupSizeControl}));
  EXPECT_FALSE(all.has(Capability::kMatrixUnits));

  const DevicePlan less = plan_device(facts, {.disabled = {Capability::kInt8Dot, Capability::kSubgroups}}, kGiB);
  EXPECT_FALSE(less.info.capabilities.has(Capability::kInt8Dot));
  EXPECT_FALSE(less.info.capabilities.has(Capability::kSubgroups));
  // What is off is not enabled either.
  EXPECT_EQ(less.extensions, std::vector<std::string>{VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME});

  const DevicePlan more = plan_device(facts, {.disabled = {Capability::kSubgroupSizeControl}}, kGiB);
  EXPECT_TRUE(more.info.capabilities.has(Capability::kInt8Dot));
  EXPECT_EQ(more.extensions, std::vector<std::string>{VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME});
}

TEST(VulkanDevicePlan, GpusNeedAnInstructionForIntegerDotProducts) {
  DeviceFacts facts = discrete_facts();
  facts.int8_dot = true;
  EXPECT_FALSE(plan_device(facts, {}, kGiB).info.capabilities.has(Capability::kInt8Dot));
  facts.int8_dot_accelerated = true;
  EXPECT_TRUE(plan_device(facts, {}, kGiB).info.capabilities.has(Capability::kInt8Dot));
}

TEST(VulkanDevicePlan, MatrixUnitsNeedSubgroupsOfTheirSize) {
  DeviceFacts facts = discrete_facts();
  facts.matrix_units = facts.subgroup_size_control = true;
  const auto has = [&](const DeviceOptions& options) {
    return plan_device(facts, options, kGiB).info.capabilities.has(Capability::kMatrixUnits);
  };
  EXPECT_FALSE(has({}));  // a driver that lets no kernel ask for a size
  facts.smallest_subgroup = 32;
  facts.largest_subgroup = 64;
  EXPECT_TRUE(has({}));
  EXPECT_FALSE(has({.disabled = {Capability::kSubgroupSizeControl}}));
  EXPECT_FALSE(has({.disabled = {Capability::kMatrixUnits}}));
  facts.smallest_subgroup = 64;
  EXPECT_FALSE(has({}));
}

TEST(VulkanDevicePlan, SubgroupsAreAsLargeAsAskedOrRefused) {
  DeviceFacts facts = discrete_facts();
  facts.subgroup_size_control = true;
  facts.smallest_subgroup = 8;
  facts.largest_subgroup = 32;
  EXPECT_EQ(plan_device(facts, {}, kGiB).subgroup_size, 0u);
  EXPECT_EQ(plan_device(facts, {.subgroup_size = 16}, kGiB).subgroup_size, 16u);
  const auto refusal = [&](const DeviceOptions& options) { return plan_device(facts, options, kGiB).unusable; };
  EXPECT_EQ(plan_device(facts, {.subgroup_size = 16}, kGiB).info.subgroup_size, 16u);
  EXPECT_EQ(refusal({.subgroup_size = 32}), "");
  EXPECT_EQ(refusal({.subgroup_size = 64}), "subgroups of 64 invocations were asked for; it allows 8 to 32");
  EXPECT_NE(refusal({.subgroup_size = 12}), "");
  EXPECT_NE(refusal({.disabled = {Capability::kSubgroupSizeControl}, .subgroup_size = 16}).find("no choice"),
            std::string::npos);
}

TEST(VulkanDevicePlan, LimitsCanBeLowered) {
  const DevicePlan plan = plan_device(software_facts(), {.limits = {"max_range=1MiB", "max_allocation=8GiB"}}, kGiB);
  EXPECT_EQ(plan.info.limits.max_range, 1u << 20);
  EXPECT_EQ(plan.info.limits.max_allocation, kGiB);  // never raised
}

TEST(VulkanDevicePlan, TheSameDeviceOfTwoDriversIsTwoDevices) {
  DeviceFacts a = discrete_facts();
  a.driver_id = VK_DRIVER_ID_MESA_RADV;
  a.device_uuid = {1, 2, 3};
  DeviceFacts b = a;
  EXPECT_TRUE(same_device(a, b));
  b.driver_id = VK_DRIVER_ID_AMD_PROPRIETARY;
  EXPECT_FALSE(same_device(a, b));
  b = a;
  b.device_uuid[15] = 1;
  EXPECT_FALSE(same_device(a, b));
}

}  // namespace
}  // namespace nibble::vulkan
