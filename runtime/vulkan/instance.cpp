#include "runtime/vulkan/instance.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/vulkan/driver_manifests.h"

namespace nibble::vulkan {
namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";
// First loader with VK_ADD_DRIVER_FILES.
constexpr uint32_t kLoaderWithAddedDrivers = VK_MAKE_API_VERSION(0, 1, 3, 207);

// The loader's state, volk's pointers and the environment belong to the process: one instance is made at a time.
std::mutex& process_mutex() {
  static std::mutex mutex;
  return mutex;
}

void load_loader(std::span<const std::string> icds) {
  if (volkInitialize() != VK_SUCCESS) {
    fail(ErrorCode::kUnsupported, "no Vulkan loader: libvulkan.so.1 was not found (Debian: libvulkan1)");
  }
  const uint32_t version = volkGetInstanceVersion();
  const auto text = [](uint32_t v) {
    return fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(v), VK_API_VERSION_MINOR(v), VK_API_VERSION_PATCH(v));
  };
  if (version < VK_API_VERSION_1_1) {
    fail(ErrorCode::kUnsupported, "the Vulkan loader is version {}, expected at least 1.1", text(version));
  }
  if (!icds.empty() && version < kLoaderWithAddedDrivers) {
    fail(ErrorCode::kUnsupported, "--icd needs a Vulkan loader of version {}, found {}", text(kLoaderWithAddedDrivers),
         text(version));
  }
}

void require_validation_layer() {
  uint32_t count = 0;
  check_result(vkEnumerateInstanceLayerProperties(&count, nullptr), "vkEnumerateInstanceLayerProperties");
  std::vector<VkLayerProperties> layers(count);
  check_result(vkEnumerateInstanceLayerProperties(&count, layers.data()), "vkEnumerateInstanceLayerProperties");
  const bool found = std::any_of(layers.begin(), layers.end(),
                                 [](const auto& l) { return std::strcmp(l.layerName, kValidationLayer) == 0; });
  if (!found) {
    fail(ErrorCode::kUnsupported, "validation was asked for, but layer '{}' is not installed (Debian: {})",
         kValidationLayer, "vulkan-validationlayers");
  }
}

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
  std::string text = data->pMessage == nullptr ? "(no text)" : data->pMessage;
  std::replace(text.begin(), text.end(), '\n', ' ');
  static_cast<ValidationLog*>(user)->add(std::move(text));
  return VK_FALSE;
}

VkDebugUtilsMessengerCreateInfoEXT messenger_info(ValidationLog* log) {
  return {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
          .pNext = nullptr,
          .flags = 0,
          .messageSeverity =
              VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
          .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
          .pfnUserCallback = on_message,
          .pUserData = log};
}

}  // namespace

ValidationLog::~ValidationLog() {
  for (const std::string& message : messages_) warn("Vulkan validation: {}", message);
}

void ValidationLog::add(std::string message) {
  const std::lock_guard lock(mutex_);
  messages_.push_back(std::move(message));
}

std::vector<std::string> ValidationLog::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(messages_, {});
}

Instance::Instance(std::span<const std::string> icds, bool validation) : log_(std::make_unique<ValidationLog>()) {
  const std::lock_guard lock(process_mutex());
  load_loader(icds);
  const ScopedDriverManifests manifests(icds);

  VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(log_.get());
  const VkValidationFeatureEnableEXT synchronisation = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
  const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                            .pNext = &messenger,
                                            .enabledValidationFeatureCount = 1,
                                            .pEnabledValidationFeatures = &synchronisation,
                                            .disabledValidationFeatureCount = 0,
                                            .pDisabledValidationFeatures = nullptr};
  // 1.1 is the baseline; what is newer comes through extensions, each of them a capability.
  const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .pNext = nullptr,
                                         .pApplicationName = "nibble",
                                         .applicationVersion = 0,
                                         .pEngineName = "nibble",
                                         .engineVersion = 0,
                                         .apiVersion = VK_API_VERSION_1_1};
  std::vector<const char*> layers;
  std::vector<const char*> extensions;
  if (validation) {
    require_validation_layer();
    layers.push_back(kValidationLayer);
    extensions = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
  }
  const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                     .pNext = validation ? &features : nullptr,
                                     .flags = 0,
                                     .pApplicationInfo = &application,
                                     .enabledLayerCount = static_cast<uint32_t>(layers.size()),
                                     .ppEnabledLayerNames = layers.data(),
                                     .enabledExtensionCount = static_cast<uint32_t>(extensions.size()),
                                     .ppEnabledExtensionNames = extensions.data()};
  const VkResult result = vkCreateInstance(&info, nullptr, &instance_);
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
    fail(ErrorCode::kUnsupported, "no Vulkan driver is installed (vkCreateInstance: {})", result_name(result));
  }
  check_result(result, "vkCreateInstance");
  // Instance-level pointers are the loader's own trampolines: the same for every instance.
  volkLoadInstanceOnly(instance_);
  if (validation) create_messenger();
}

void Instance::create_messenger() {
  const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
      vkGetInstanceProcAddr(instance_, "vkCreateDebugUtilsMessengerEXT"));
  const VkDebugUtilsMessengerCreateInfoEXT info = messenger_info(log_.get());
  check_result(create(instance_, &info, nullptr, &messenger_), "vkCreateDebugUtilsMessengerEXT");
}

Instance::~Instance() {
  const std::lock_guard lock(process_mutex());
  if (messenger_ != VK_NULL_HANDLE) {
    const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(instance_, "vkDestroyDebugUtilsMessengerEXT"));
    destroy(instance_, messenger_, nullptr);
  }
  if (instance_ != VK_NULL_HANDLE) vkDestroyInstance(instance_, nullptr);
}

std::vector<VkPhysicalDevice> Instance::physical_devices() const {
  uint32_t count = 0;
  const VkResult result = vkEnumeratePhysicalDevices(instance_, &count, nullptr);
  if (result == VK_ERROR_INITIALIZATION_FAILED) return {};  // the loader's way of saying that no driver has a device
  check_result(result, "vkEnumeratePhysicalDevices");
  std::vector<VkPhysicalDevice> devices(count);
  check_result(vkEnumeratePhysicalDevices(instance_, &count, devices.data()), "vkEnumeratePhysicalDevices");
  devices.resize(count);
  return devices;
}

std::shared_ptr<Instance> open_instance(std::span<const std::string> icds, bool validation) {
  if (validation) return std::make_shared<Instance>(icds, validation);
  static std::mutex mutex;
  // Never destroyed: at the end of the process the drivers may be gone before it.
  static auto& instances = *new std::map<std::vector<std::string>, std::shared_ptr<Instance>>;
  const std::lock_guard lock(mutex);
  std::vector<std::string> key(icds.begin(), icds.end());
  for (const char* variable : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"}) {
    const char* value = std::getenv(variable);
    key.emplace_back(value == nullptr ? "" : value);
  }
  std::shared_ptr<Instance>& instance = instances[key];
  if (instance == nullptr) instance = std::make_shared<Instance>(icds, validation);
  return instance;
}

}  // namespace nibble::vulkan
