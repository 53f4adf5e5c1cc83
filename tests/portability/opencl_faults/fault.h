// Faults that the faulty OpenCL driver can have, chosen by name: texts that its compiler reads before every program,
// and places where its functions go wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nibble::opencl_faults {

enum class Place : uint8_t {
  kNone,
  kBuildCrashes,  // the first five only for the kernel kTarget
  kBuildFails,
  kSubmitFails,
  kWaitHangs,
  kWaitFails,
  kLastWorkgroup,    // is not run
  kSecondDimension,  // of the grid is taken for 1
  kRead,             // these three lose the last word
  kWrite,
  kFill,
};

inline constexpr std::string_view kTarget = "probe_workgroup_atomics";

struct Fault {
  std::string_view name;
  std::string_view text = "";
  Place place = Place::kNone;
  // What the device really allows, whatever it announces.
  size_t most_local = SIZE_MAX;
  size_t most_bytes = SIZE_MAX;
};

// The fault of that name, one without effect for "", null for an unknown one.
const Fault* find_fault(std::string_view name);

}  // namespace nibble::opencl_faults
