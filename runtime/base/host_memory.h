// How much RAM there is, and how much of it the host can still give: to this process, whose control groups and limits
// count as well.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nibble {

// Bytes that can be taken without swapping (MemAvailable of /proc/meminfo) and within the control groups' limits; 0 if
// the system does not tell.
uint64_t available_host_memory();

// The same from the text of /proc/meminfo, without the groups.
uint64_t parse_available_memory(std::string_view meminfo);

struct HostMemory {
  uint64_t bytes = 0;  // that this process may ever use
  std::string reason;  // why it is less than the machine has: "cgroup limit"; empty if it is not
};
HostMemory total_host_memory();

}  // namespace nibble
