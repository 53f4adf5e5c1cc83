// The OpenCL devices of this system, through the ICD loader.
#pragma once

#include <vector>

#include "runtime/opencl/cl_api.h"
#include "runtime/opencl/device_facts.h"

namespace nibble::opencl {

struct PlatformDevice {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
  DeviceFacts facts;
};

// All devices in the loader's order without duplicates, unusable ones included. Throws kUnsupported when no driver is
// installed.
std::vector<PlatformDevice> find_devices();

}  // namespace nibble::opencl
