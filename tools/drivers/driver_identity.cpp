#include "tools/drivers/driver_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include <fmt/format.h>

#include "tools/drivers/driver_files.h"

namespace nibble::drivers {
namespace {

namespace fs = std::filesystem;

// Beginnings of names of variables that change which drivers are loaded or what they do.
constexpr std::array<std::string_view, 30> kPrefixes = {
    "VK_",   "OCL_",   "OPENCL_",  "POCL_", "LD_",   "XDG_CONFIG", "XDG_DATA", "HOME=",  "DISPLAY=", "WAYLAND_DISPLAY=",
    "MESA_", "LIBGL_", "GALLIUM_", "LP_",   "RADV_", "AMD_",       "ANV_",     "INTEL_", "ZINK_",    "NVK_",
    "CUDA_", "NV",     "__NV",     "__GL",  "GPU_",  "HSA_",       "ROC",      "ZE_",    "DRI_",     "SWIFTSHADER"};

std::string stamp(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fmt::format("{} is not there\n", path.string());
  return fmt::format("{} {} {}.{:09} {}\n", path.string(), info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                     info.st_ino);
}

std::string names_in(const fs::path& folder, std::string_view start) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (!name.starts_with(start)) continue;
    names.push_back(name + (::access(entry->path().c_str(), R_OK | W_OK) == 0 ? "" : " (no access)"));
  }
  std::ranges::sort(names);
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}

}  // namespace

std::string question_of(BackendKind api, const std::vector<std::string>& icds) {
  std::string text = fmt::format("do the drivers of {} survive being loaded\n", name_of(api));
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const bool matters = std::ranges::any_of(kPrefixes, [&](std::string_view p) { return variable.starts_with(p); });
    if (matters) variables.emplace_back(variable);
  }
  std::ranges::sort(variables);
  for (const std::string& variable : variables) text += variable + "\n";
  for (const DriverFile& file : driver_files(api, icds)) text += file.path.string() + "\n";
  return text;
}

std::string identity_of(BackendKind api, const std::vector<std::string>& icds) {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  std::string text = boot + "\n" + stamp("/proc/self/exe") + stamp("/etc/ld.so.cache");
  text += names_in("/dev/dri", "") + names_in("/dev", "nvidia") + names_in("/dev", "kfd");
  for (const DriverFile& file : driver_files(api, icds)) text += stamp(file.path) + stamp(file.library_path());
  if (api != BackendKind::kVulkan) return text;
  for (const ImplicitLayer& layer : implicit_layers())
    text += stamp(layer.file.path) + stamp(layer.file.library_path());
  return text;
}

}  // namespace nibble::drivers
