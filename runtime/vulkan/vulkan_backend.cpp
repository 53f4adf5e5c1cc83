// Lists and opens Vulkan devices.
#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/base/host_memory.h"
#include "runtime/device/backend.h"
#include "runtime/vulkan/driver_build.h"
#include "runtime/vulkan/instance.h"
#include "runtime/vulkan/vulkan_device.h"

namespace nibble {
namespace {

struct Found {
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  vulkan::DevicePlan plan;
};

std::vector<Found> find_devices(const vulkan::Instance& instance, const DeviceOptions& options) {
  const uint64_t host_memory = available_host_memory();
  std::vector<Found> found;
  for (const VkPhysicalDevice physical : instance.physical_devices()) {
    const vulkan::DeviceFacts facts = vulkan::read_device_facts(physical);
    const bool is_known = std::any_of(found.begin(), found.end(),
                                      [&](const Found& other) { return vulkan::same_device(other.plan.facts, facts); });
    if (is_known) continue;
    found.push_back({.physical = physical, .plan = vulkan::plan_device(facts, options, host_memory)});
    found.back().plan.info.id = fmt::format("vulkan:{}", found.size() - 1);
  }
  return found;
}

class VulkanBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kVulkan; }

  std::vector<DeviceInfo> list(const DeviceOptions& options) override {
    const auto instance = vulkan::open_instance(options.icds, options.validation);
    std::vector<DeviceInfo> infos;
    for (Found& found : find_devices(*instance, options)) infos.push_back(std::move(found.plan.info));
    return infos;
  }

  std::unique_ptr<Device> open(size_t index, const DeviceOptions& options) override {
    auto instance = vulkan::open_instance(options.icds, options.validation);
    std::vector<Found> all = find_devices(*instance, options);
    if (index >= all.size()) {
      fail(ErrorCode::kNotFound, "no device 'vulkan:{}': there are {} Vulkan devices", index, all.size());
    }
    Found& found = all[index];
    if (!found.plan.unusable.empty()) {
      fail(ErrorCode::kUnsupported, "device 'vulkan:{}' ({}) cannot be used: {}", index, found.plan.info.name,
           found.plan.unusable);
    }
    auto context = std::make_shared<vulkan::Context>(std::move(instance), found.physical, std::move(found.plan));
    return std::make_unique<vulkan::VulkanDevice>(std::move(context), options);
  }
};

}  // namespace

Backend& vulkan_backend() {
  static VulkanBackend backend;
  return backend;
}

std::string vulkan::driver_build(std::string_view id, const DeviceOptions& options) {
  if (!id.starts_with("vulkan:")) return "";
  const auto instance = open_instance(options.icds, options.validation);
  for (const Found& found : find_devices(*instance, options)) {
    if (found.plan.info.id != id) continue;
    return fmt::format("{:02x}", fmt::join(found.plan.facts.properties.pipelineCacheUUID, ""));
  }
  return "";
}

}  // namespace nibble
