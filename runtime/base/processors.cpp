#include "runtime/base/processors.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/cgroup.h"

namespace nibble {
namespace {

// 0 if the system does not tell.
size_t processors_of_affinity() {
  // A machine may have more processors than cpu_set_t has bits: then the call wants a longer set.
  for (size_t sets = 1; sets <= 64; sets *= 2) {
    std::vector<cpu_set_t> set(sets);
    const size_t bytes = sets * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, set.data()) == 0) return static_cast<size_t>(CPU_COUNT_S(bytes, set.data()));
    if (errno != EINVAL) break;
  }
  return 0;
}

}  // namespace

Processors combine_processors(size_t of_machine, size_t affinity, std::optional<double> quota) {
  of_machine = std::max<size_t>(of_machine, 1);
  Processors result{.usable = of_machine, .of_machine = of_machine, .reason = ""};
  if (affinity > 0 && affinity < result.usable) {
    result.usable = affinity;
    result.reason = "affinity or cpuset";
  }
  if (quota && *quota > 0 && std::ceil(*quota) < static_cast<double>(result.usable)) {
    result.usable = static_cast<size_t>(std::ceil(*quota));
    result.reason = "cgroup quota";
  }
  return result;
}

Processors usable_processors() {
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  const size_t affinity = processors_of_affinity();
  // A sandbox may show fewer processors than the process may run on.
  const size_t of_machine = std::max(affinity, online > 0 ? static_cast<size_t>(online) : 1);
  return combine_processors(of_machine, affinity, read_cgroup_limits().processors);
}

std::string describe(const Processors& processors) {
  const char* plural = processors.of_machine == 1 ? "" : "s";
  if (processors.reason.empty()) return fmt::format("{} processor{}", processors.of_machine, plural);
  return fmt::format("{} of {} processor{}: {}", processors.usable, processors.of_machine, plural, processors.reason);
}

}  // namespace nibble
