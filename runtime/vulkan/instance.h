// Instance: the Vulkan loader and its drivers. Shared by the devices opened from it; usable from any thread.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime/vulkan/api.h"

namespace nibble::vulkan {

// What the validation layers said and nobody has been told yet. What is left at the end goes to stderr.
class ValidationLog {
 public:
  ~ValidationLog();
  void add(std::string message);
  std::vector<std::string> take();

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

class Instance {
 public:
  // `icds` are driver manifests beside the system's. Throws kUnsupported without loader or layer, kNotFound for a
  // manifest that does not exist.
  Instance(std::span<const std::string> icds, bool validation);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  std::vector<VkPhysicalDevice> physical_devices() const;
  ValidationLog& validation_log() { return *log_; }

 private:
  void create_messenger();

  std::unique_ptr<ValidationLog> log_;
  VkInstance instance_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
};

// An instance as the constructor makes it. Without validation there is one for each set of drivers that `icds` and the
// loader's variables name, and it stays to the end of the process: with the last instance the loader unloads the
// drivers, and after some forty times a process could not load NVIDIA's (580) again.
std::shared_ptr<Instance> open_instance(std::span<const std::string> icds, bool validation);

}  // namespace nibble::vulkan
