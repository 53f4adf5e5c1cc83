#include "tests/portability/opencl_faults/fault.h"

#include <algorithm>

namespace nibble::opencl_faults {
namespace {

// A macro that names itself is not expanded again, so that it can call what it stands for.
constexpr Fault kFaults[] = {
    {.name = ""},
    {.name = "f16_truncated",
     .text = "#define vload_half2(o, p) as_float2(as_uint2(vload_half2(o, p)) & 0xffffdfffu)\n"},
    {.name = "f16_denormals_flushed",
     .text = "#define vload_half2(o, p) flushed_halves(vload_half2(o, p))\n"
             "float2 flushed_halves(float2 v) { return select((float2)(0.0f), v, fabs(v) >= 0x1p-14f); }\n"},
    {.name = "barrier_ignored", .text = "#define barrier(flags)\n"},
    {.name = "fma_loses_addend", .text = "#define fma(a, b, c) ((a) * (b))\n"},
    {.name = "fma_rounds_twice", .text = "#define fma(a, b, c) ((a) * (b) + (c))\n"},
    {.name = "inverse_root_approximate", .text = "#define rsqrt(x) (rsqrt(x) * 1.00002f)\n"},
    {.name = "exponential_approximate", .text = "#define exp(x) (exp(x) * 1.00002f)\n"},
    {.name = "max_is_min", .text = "#define fmax(a, b) fmin(a, b)\n"},
    {.name = "atomic_add_stores", .text = "#define atomic_add(p, v) (*(p) = (v))\n"},
    {.name = "group_number_lost", .text = "#define get_group_id(d) ((d) == 1 ? 0 : get_group_id(d))\n"},
    {.name = "last_workgroup_skipped", .place = Place::kLastWorkgroup},
    {.name = "grid_flattened", .place = Place::kSecondDimension},
    {.name = "read_loses_tail", .place = Place::kRead},
    {.name = "write_loses_tail", .place = Place::kWrite},
    {.name = "fill_loses_tail", .place = Place::kFill},
    {.name = "workgroup_limit_lies", .most_local = 32},
    {.name = "allocation_limit_lies", .most_bytes = 65536},
    {.name = "crash_in_build", .place = Place::kBuildCrashes},
    {.name = "build_fails", .place = Place::kBuildFails},
    {.name = "hang_in_wait", .place = Place::kWaitHangs},
    {.name = "device_lost", .place = Place::kSubmitFails},
    {.name = "device_lost_late", .place = Place::kWaitFails},
};

}  // namespace

const Fault* find_fault(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kFaults), std::end(kFaults), [&](const Fault& f) { return f.name == name; });
  return found == std::end(kFaults) ? nullptr : found;
}

}  // namespace nibble::opencl_faults
