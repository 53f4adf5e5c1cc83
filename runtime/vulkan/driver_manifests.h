// Telling the Vulkan loader about driver manifests beside the system's.
#pragma once

#include <optional>
#include <span>
#include <string>

namespace nibble::vulkan {

// The loader learns of drivers from files in system folders and from environment variables only (the extension
// VK_LUNARG_direct_driver_loading is newer than Debian 12's 1.3.239). So for the moment in which an instance is made
// the variable that adds drivers is set, then put back. Hold a lock meanwhile: the environment belongs to the process.
class ScopedDriverManifests {
 public:
  // Throws kNotFound if a manifest is not a readable file. Does nothing for an empty list.
  explicit ScopedDriverManifests(std::span<const std::string> manifests);
  ~ScopedDriverManifests();
  ScopedDriverManifests(const ScopedDriverManifests&) = delete;
  ScopedDriverManifests& operator=(const ScopedDriverManifests&) = delete;

 private:
  std::string variable_;  // empty = nothing was changed
  std::optional<std::string> before_;
};

}  // namespace nibble::vulkan
