#include "runtime/base/host_memory.h"

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

namespace nibble {

uint64_t available_host_memory() {
  std::ifstream file("/proc/meminfo");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return parse_available_memory(text);
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

}  // namespace nibble
