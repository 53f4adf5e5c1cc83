// The files by which loaders find drivers: Vulkan's manifests of drivers and implicit layers, OpenCL's *.icd files.
// They are looked for where the loaders look, after the same variables of the environment.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/core/device_info.h"
#include "tools/drivers/child_process.h"

namespace nibble::drivers {

struct DriverFile {
  std::filesystem::path path;  // of the manifest, or of the library where it is named without one
  std::string library;         // as the file names it; empty if it names none
  std::string defect;          // why the loader cannot use it: "is not JSON"; empty if nothing is seen

  std::string describe() const;  // "'/etc/vulkan/icd.d/x.json' (libx.so)"
  // The library, where a path is named or it lies in one of the usual folders; empty if it is not found.
  std::filesystem::path library_path() const;
};

// Of Vulkan or OpenCL. `icds`: manifests of --icd, which the loader sees beside them.
std::vector<DriverFile> driver_files(BackendKind api, const std::vector<std::string>& icds);

// A Vulkan layer that is loaded without being asked for.
struct ImplicitLayer {
  DriverFile file;
  std::string name;          // "VK_LAYER_MESA_device_select"
  std::string off_variable;  // the variable that switches it off
  std::string off_value;
};
std::vector<ImplicitLayer> implicit_layers();

// What makes the loader see these drivers and no others. OpenCL's loaders want a folder: the chosen *.icd files are
// copied into `folder`, which must be empty and outlive the use of the variables.
Variables only_these(BackendKind api, const std::vector<DriverFile>& chosen, const std::filesystem::path& folder);

}  // namespace nibble::drivers
