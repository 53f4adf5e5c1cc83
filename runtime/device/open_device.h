// Finding and opening devices by name.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/device.h"

namespace nibble {

struct DeviceOptions;

// What a program does before the drivers of an API come into its process, to find out which of them survive that. It
// may take drivers out of the options, and says what it left out and why, a line each. Throws kUnsupported where
// nothing of the API can be used.
using DriverCheck = std::function<std::vector<std::string>(BackendKind api, DeviceOptions& options)>;

struct DeviceOptions {
  std::vector<std::string> icds;     // --icd FILE: Vulkan driver manifests beside the system's
  std::vector<std::string> limits;   // --limit key=value
  std::vector<Capability> disabled;  // --disable subgroups,f16
  std::filesystem::path cache_dir;   // SPIR-V, pipelines, program binaries; empty = no cache
  bool validation = false;           // Vulkan validation layers with synchronisation checks; their messages are errors
  bool shuffle_spans = false;        // debug: run the dispatches between two barriers in random order
  uint64_t shuffle_seed = 1;         // of that order
  uint32_t threads = 0;              // cpu backend; 0 = all processors
  double submit_seconds = 0.2;       // budget of one submission
  std::string force_variant;         // kernels that have a variant of this name use it
  uint32_t subgroup_size = 0;        // Vulkan: of kernels that use subgroups; 0 = the driver's choice
  DriverCheck check_drivers;         // before an API's drivers are loaded; empty = nothing is done
  bool as_gpu = false;               // what is meant for GPUs also runs on a software driver: tests it, slowly
  // Called before each dispatch is recorded, whose kernel some drivers compile for seconds. What it throws ends the
  // recording: there is no program then, and the device is as it was.
  std::function<void()> between_kernels;
};

// What `as_gpu` asks for, for backends: a software driver passes for a GPU.
void treat_as_gpu(DeviceInfo& info);

// A device that was found, and why `auto` would not take it ("" if it would).
struct FoundDevice {
  DeviceInfo info;
  std::string not_auto;
};

// Every device of every backend, in order cpu, vulkan:N, opencl:N. A backend whose loader is missing lists nothing and
// says why in `problems`. The same driver and device listed twice by one API shows once. Only APIs that `name` can mean
// are asked (and the cpu, which costs nothing): "opencl:0" does not even load Vulkan's drivers.
std::vector<FoundDevice> list_devices(const DeviceOptions& options, std::vector<std::string>* problems = nullptr,
                                      std::string_view name = "auto");

// name: "auto"; "cpu", "vulkan:N", "opencl:N"; "vulkan@PCI-address"; "vulkan" or "opencl", its best GPU; a UUID prefix
// (at least 4 hex digits); part of a GPU's name (case-insensitive); or the whole name of a software driver. Throws
// kNotFound listing what there is, kUsage when ambiguous, for a number alone, and for a disabled capability that no
// device of the kind has.
std::unique_ptr<Device> open_device(std::string_view name, const DeviceOptions& options);

// Throws kUsage for what no device of an API can have: to disable it would change nothing, and look as if it made no
// difference.
void require_possible(const std::vector<Capability>& disabled, BackendKind kind);

// The pure part: which of `found` the name means. Several matches are ranked as `auto` ranks them; a part of a name
// never means the cpu or a software driver.
size_t select_device(std::string_view name, const std::vector<FoundDevice>& found);

}  // namespace nibble
