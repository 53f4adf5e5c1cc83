// How many of the machine's processors this process may keep busy.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace nibble {

struct Processors {
  size_t usable = 1;
  size_t of_machine = 1;
  std::string reason;  // why it is not all of them: "cgroup quota"; empty if it is
};

// Pure: `affinity` are the processors that the process may run on, `quota` the processors' worth of time it gets. A
// quota of 1.5 is worth two threads that each rest a quarter of the time.
Processors combine_processors(size_t of_machine, size_t affinity, std::optional<double> quota);

// Of this process. Asks the system each time: affinity and quotas may change.
Processors usable_processors();

// "2 of 64 processors: cgroup quota", or "64 processors".
std::string describe(const Processors& processors);

}  // namespace nibble
