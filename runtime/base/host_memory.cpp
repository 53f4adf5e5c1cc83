#include "runtime/base/host_memory.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

#include "runtime/base/cgroup.h"

namespace nibble {

uint64_t available_host_memory() {
  std::ifstream file("/proc/meminfo");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const uint64_t of_machine = parse_available_memory(text);
  const uint64_t of_groups = read_cgroup_limits().memory_available.value_or(UINT64_MAX);
  return of_machine == 0 && of_groups == UINT64_MAX ? 0
                                                    : std::min(of_machine == 0 ? UINT64_MAX : of_machine, of_groups);
}

uint64_t parse_available_memory(std::string_view meminfo) {
  constexpr std::string_view kKey = "MemAvailable:";
  const size_t start = meminfo.find(kKey);
  if (start == std::string_view::npos) return 0;
  meminfo.remove_prefix(start + kKey.size());
  const size_t digits = meminfo.find_first_not_of(' ');
  if (digits == std::string_view::npos) return 0;
  meminfo.remove_prefix(digits);
  uint64_t kib = 0;
  std::from_chars(meminfo.data(), meminfo.data() + meminfo.size(), kib);
  return kib * 1024;
}

HostMemory total_host_memory() {
  struct sysinfo memory {};
  ::sysinfo(&memory);
  HostMemory result{.bytes = uint64_t{memory.totalram} * memory.mem_unit, .reason = ""};
  const uint64_t of_groups = read_cgroup_limits().memory_bytes.value_or(UINT64_MAX);
  if (of_groups < result.bytes) result = {.bytes = of_groups, .reason = "cgroup limit"};
  rlimit addresses{};
  const bool is_limited = ::getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY;
  if (is_limited && addresses.rlim_cur < result.bytes) result = {.bytes = addresses.rlim_cur, .reason = "ulimit -v"};
  return result;
}

}  // namespace nibble
