// Drivers are strangers: one that aborts, exits or hangs where it is loaded does so to the whole process. So before an
// API is used a child process loads its drivers and lists their devices. If it does not come back with an answer, a
// child for each driver finds the guilty one, which this process and its children then do without.
//
// What was found is kept in the cache folder under the identity of the drivers' libraries, so that it costs a
// millisecond from then on. That a driver is good holds until something changes; that it is bad holds for an hour.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/device/open_device.h"

namespace nibble::drivers {

struct CheckOptions {
  std::chrono::milliseconds limit{20'000};  // for a child's answer
  std::filesystem::path cache_dir;          // empty = every process asks
  bool asks_bad_again = false;              // do not believe that a driver is bad because it was
};

// For DeviceOptions::check_drivers. Leaves drivers out by setting the loaders' variables in this process's environment:
// they hold for its children as well. An API is checked once in a process for each set of --icd manifests.
DriverCheck make_driver_check(const CheckOptions& options);

// Whether drivers have been loaded into this process since a check: what happens at its end is up to them too.
bool have_drivers_been_used();

// Drivers' files that a loader passes over without a word: "'/etc/vulkan/icd.d/x.json' (/opt/libx.so): its library is
// not there".
std::vector<std::string> defective_files(const std::vector<std::string>& icds);

// The child's side: loads what the environment says and answers.
int answer(BackendKind api, const std::vector<std::string>& icds);

}  // namespace nibble::drivers
