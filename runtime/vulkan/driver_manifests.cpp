#include "runtime/vulkan/driver_manifests.h"

#include <cstdlib>
#include <filesystem>
#include <initializer_list>

#include "runtime/base/error.h"

namespace nibble::vulkan {
namespace {

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// A user's own list of drivers replaces the system's and makes the loader ignore VK_ADD_DRIVER_FILES: extend that list.
std::string variable_to_extend() {
  for (const char* name : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"}) {
    if (environment(name).has_value()) return name;
  }
  return "VK_ADD_DRIVER_FILES";
}

}  // namespace

ScopedDriverManifests::ScopedDriverManifests(std::span<const std::string> manifests) {
  if (manifests.empty()) return;
  std::string list;
  for (const std::string& manifest : manifests) {
    if (!std::filesystem::is_regular_file(manifest)) {
      fail(ErrorCode::kNotFound, "--icd '{}': no such file; expected a Vulkan driver manifest (*.json)", manifest);
    }
    // The loader wants absolute paths here.
    if (!list.empty()) list += ':';
    list += std::filesystem::absolute(manifest).string();
  }
  variable_ = variable_to_extend();
  before_ = environment(variable_);
  if (before_ && !before_->empty()) list = *before_ + ":" + list;
  ::setenv(variable_.c_str(), list.c_str(), 1);
}

ScopedDriverManifests::~ScopedDriverManifests() {
  if (variable_.empty()) return;
  if (before_) {
    ::setenv(variable_.c_str(), before_->c_str(), 1);
  } else {
    ::unsetenv(variable_.c_str());
  }
}

}  // namespace nibble::vulkan
