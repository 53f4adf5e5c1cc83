#include "runtime/vulkan/device_facts.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "runtime/vulkan/matrix_units.h"

namespace nibble::vulkan {
namespace {

// Links a structure to the front of a pNext chain.
template <typename Head, typename Link>
void chain(Head& head, Link& link) {
  link.pNext = head.pNext;
  head.pNext = &link;
}

std::vector<std::string> read_extensions(VkPhysicalDevice device) {
  uint32_t count = 0;
  check_result(vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr),
               "vkEnumerateDeviceExtensionProperties");
  std::vector<VkExtensionProperties> properties(count);
  check_result(vkEnumerateDeviceExtensionProperties(device, nullptr, &count, properties.data()),
               "vkEnumerateDeviceExtensionProperties");
  std::vector<std::string> names;
  for (const VkExtensionProperties& extension : properties) names.emplace_back(extension.extensionName);
  return names;
}

void read_properties(VkPhysicalDevice device, DeviceFacts& facts) {
  VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
  VkPhysicalDeviceMaintenance3Properties sizes = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
  VkPhysicalDevicePCIBusInfoPropertiesEXT pci = {.sType =
                                                     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT};
  chain(properties, id);
  chain(properties, sizes);
  chain(properties, subgroup);
  VkPhysicalDeviceShaderIntegerDotProductProperties dot = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
  if (facts.has_extension(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) chain(properties, dot);
  VkPhysicalDeviceExternalMemoryHostPropertiesEXT imports = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
  if (facts.has_extension(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME)) chain(properties, imports);
  VkPhysicalDeviceSubgroupSizeControlProperties sizes_of_subgroup = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
  if (facts.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) chain(properties, sizes_of_subgroup);
  const bool has_driver = facts.has_extension(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);
  const bool has_pci = facts.has_extension(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
  if (has_driver) chain(properties, driver);
  if (has_pci) chain(properties, pci);
  vkGetPhysicalDeviceProperties2(device, &properties);

  facts.properties = properties.properties;
  facts.int8_dot_accelerated = dot.integerDotProduct4x8BitPackedSignedAccelerated != 0;
  std::copy(std::begin(id.deviceUUID), std::end(id.deviceUUID), facts.device_uuid.begin());
  facts.max_allocation = sizes.maxMemoryAllocationSize;
  facts.host_import_alignment = imports.minImportedHostPointerAlignment;
  facts.subgroup_size = subgroup.subgroupSize;
  if ((sizes_of_subgroup.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0) {
    facts.smallest_subgroup = sizes_of_subgroup.minSubgroupSize;
    facts.largest_subgroup = sizes_of_subgroup.maxSubgroupSize;
  }
  facts.subgroup_stages = subgroup.supportedStages;
  facts.subgroup_operations = subgroup.supportedOperations;
  if (has_driver) {
    facts.driver_id = driver.driverID;
    facts.driver_name = driver.driverName;
    facts.driver_info = driver.driverInfo;
  }
  if (has_pci) {
    facts.pci_address =
        fmt::format("{:04x}:{:02x}:{:02x}.{}", pci.pciDomain, pci.pciBus, pci.pciDevice, pci.pciFunction);
  }
}

void read_features(VkPhysicalDevice device, DeviceFacts& facts) {
  VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
  VkPhysicalDeviceSubgroupSizeControlFeatures size_control = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
  VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
  CooperativeMatrixFeatures matrix;
  Bfloat16Features bfloat16;
  const bool has_matrices = facts.has_extension(kCooperativeMatrixExtension) &&
                            facts.has_extension(kBfloat16Extension) &&
                            facts.has_extension(VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);
  if (has_matrices) {
    chain(features, memory_model);
    chain(features, matrix);
    chain(features, bfloat16);
  }
  if (facts.has_extension(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) chain(features, dot);
  if (facts.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) chain(features, size_control);
  vkGetPhysicalDeviceFeatures2(device, &features);

  facts.int8_dot = dot.shaderIntegerDotProduct != 0;
  facts.matrix_units = has_matrices && memory_model.vulkanMemoryModel != 0 && matrix.cooperativeMatrix != 0 &&
                       bfloat16.shaderBFloat16Type != 0 && bfloat16.shaderBFloat16CooperativeMatrix != 0 &&
                       multiplies_bf16_matrices(device);
  facts.subgroup_size_control = size_control.subgroupSizeControl != 0 && size_control.computeFullSubgroups != 0;
}

bool reads_texel_formats(VkPhysicalDevice device) {
  constexpr std::array kTypes = {ElementType::kU32, ElementType::kF32, ElementType::kU32x4, ElementType::kF32x4};
  return std::all_of(kTypes.begin(), kTypes.end(), [&](ElementType type) {
    VkFormatProperties properties;
    vkGetPhysicalDeviceFormatProperties(device, texel_format(type), &properties);
    return (properties.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT) != 0;
  });
}

void read_memory(VkPhysicalDevice device, DeviceFacts& facts) {
  VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  const bool has_budget = facts.has_extension(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (has_budget) chain(memory, budget);
  vkGetPhysicalDeviceMemoryProperties2(device, &memory);
  facts.memory = memory.memoryProperties;
  uint64_t largest = 0;
  for (uint32_t h = 0; has_budget && h < facts.memory.memoryHeapCount; ++h) {
    const VkMemoryHeap& heap = facts.memory.memoryHeaps[h];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0 || heap.size <= largest) continue;
    largest = heap.size;
    facts.memory_budget = budget.heapBudget[h];
  }
}

}  // namespace

bool DeviceFacts::has_extension(std::string_view name) const {
  return std::find(extensions.begin(), extensions.end(), name) != extensions.end();
}

VkFormat texel_format(ElementType type) {
  switch (type) {
    case ElementType::kU32:
      return VK_FORMAT_R32_UINT;
    case ElementType::kF32:
      return VK_FORMAT_R32_SFLOAT;
    case ElementType::kU32x4:
      return VK_FORMAT_R32G32B32A32_UINT;
    case ElementType::kF32x4:
      return VK_FORMAT_R32G32B32A32_SFLOAT;
  }
  return VK_FORMAT_UNDEFINED;
}

DeviceFacts read_device_facts(VkPhysicalDevice device) {
  DeviceFacts facts;
  vkGetPhysicalDeviceProperties(device, &facts.properties);
  // The "2" queries below are core in 1.1 only; an older device is listed by name and never used.
  if (facts.properties.apiVersion < VK_API_VERSION_1_1) return facts;
  facts.extensions = read_extensions(device);
  read_properties(device, facts);
  read_features(device, facts);
  read_memory(device, facts);
  facts.texel_formats = reads_texel_formats(device);
  uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  facts.queue_families.resize(count);
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, facts.queue_families.data());
  return facts;
}

}  // namespace nibble::vulkan
