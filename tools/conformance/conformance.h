// A whole run: devices are listed and cases run in child processes, so that a driver that dies takes one row with it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/device/open_device.h"
#include "tools/conformance/model_walk.h"
#include "tools/conformance/plan.h"
#include "tools/conformance/report.h"

namespace nibble::conformance {

struct RunOptions {
  DeviceOptions device_options;
  PlanOptions plan;
  std::vector<std::string> devices;  // names; empty = all
  bool is_reducing = false;          // the first failing case of each variant is made smaller
  std::string repro_directory;       // reproducers of those cases, made smaller; empty = none
  ModelWalk walk;                    // with a directory: the model's dispatches instead of the kernels' cases
  double case_seconds = 0;  // limit of one case; 0: 20 s quick, 60 s full; software drivers 5, simulators 30 times that
};

// Called after every row: the device, rows done, rows in all.
using ProgressSink = std::function<void(const DeviceReport& device, size_t done, size_t total)>;

// Rows carry no expectations yet. Throws kUsage and kNotFound for wrong names, kDevice if a driver ends the process
// that lists devices.
Report run(const RunOptions& options, const ProgressSink& progress);

}  // namespace nibble::conformance
