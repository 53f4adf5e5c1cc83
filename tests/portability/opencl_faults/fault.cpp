#include "tests/portability/opencl_faults/fault.h"

#include <algorithm>

namespace nibble::opencl_faults {
namespace {

// Functions may be macros of the driver's: wrong ones call them before the name is theirs.
constexpr Fault kFaults[] = {
    {.name = ""},
    {.name = "f16_truncated",
     .text = "float2 wrong_halves(const __private half* p) {\n"
             "  return as_float2(as_uint2(vload_half2(0, p)) & 0xffffdfffu);\n"
             "}\n"
             "#undef vload_half2\n"
             "#define vload_half2(o, p) wrong_halves(p)\n"},
    {.name = "f16_denormals_flushed",
     .text = "float2 wrong_halves(const __private half* p) {\n"
             "  float2 v = vload_half2(0, p);\n"
             "  return (float2)(fabs(v.x) < 0x1p-14f ? 0.0f : v.x, fabs(v.y) < 0x1p-14f ? 0.0f : v.y);\n"
             "}\n"
             "#undef vload_half2\n"
             "#define vload_half2(o, p) wrong_halves(p)\n"},
    {.name = "barrier_ignored", .text = "#define barrier(flags)\n"},
    {.name = "fma_loses_addend", .text = "#define fma(a, b, c) ((a) * (b))\n"},
    {.name = "inverse_root_approximate",
     .text = "float wrong_rsqrt(float x) { return rsqrt(x) * 1.00002f; }\n#undef rsqrt\n#define rsqrt wrong_rsqrt\n"},
    {.name = "exponential_approximate",
     .text = "float wrong_exp(float x) { return exp(x) * 1.00002f; }\n#undef exp\n#define exp wrong_exp\n"},
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
