// How much RAM the host can still give.
#pragma once

#include <cstdint>
#include <string_view>

namespace nibble {

// Bytes that can be taken without swapping (MemAvailable of /proc/meminfo); 0 if the system does not tell.
uint64_t available_host_memory();

// The same from the text of /proc/meminfo.
uint64_t parse_available_memory(std::string_view meminfo);

}  // namespace nibble
