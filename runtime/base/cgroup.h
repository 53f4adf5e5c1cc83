// What a container or a service manager allows this process: limits of control groups, versions 1 and 2, of its own
// group and of every group above it that can be seen. The smallest one counts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace nibble {

// One folder of a controller's hierarchy, and which version's files lie in it.
struct CgroupFolder {
  std::filesystem::path path;
  bool is_unified = false;  // version 2

  bool operator==(const CgroupFolder&) const = default;
};

// The folders of `controller` ("cpu", "memory") from the process's own group up to its mount point, in both versions,
// as /proc/self/cgroup and /proc/self/mountinfo tell them. Pure: looks at no file.
std::vector<CgroupFolder> cgroup_folders(std::string_view cgroup, std::string_view mountinfo,
                                         std::string_view controller);

// Processors' worth of time from the text of cpu.max ("200000 100000"); nothing for "max ..." and for nonsense.
std::optional<double> parse_cpu_max(std::string_view text);
// The same from version 1's cpu.cfs_quota_us and cpu.cfs_period_us; a quota of -1 is none.
std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period);
// Bytes from memory.max or memory.limit_in_bytes; nothing for "max" and for version 1's huge number, which mean none.
std::optional<uint64_t> parse_memory_limit(std::string_view text);

struct CgroupLimits {
  std::optional<double> processors;
  std::optional<uint64_t> memory_bytes;      // the smallest limit
  std::optional<uint64_t> memory_available;  // the least that any group has left; cached files can be given back
};

// `root` stands for "/", for tests. Files that are not there set no limit.
CgroupLimits read_cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace nibble
