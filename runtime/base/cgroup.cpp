#include "runtime/base/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

namespace nibble {
namespace {

namespace fs = std::filesystem;

// Version 1 says "no limit" by the largest multiple of a page; no machine has half of that.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words = split(line, ' ');
  std::erase_if(words, [](std::string_view word) { return word.empty(); });
  return words;
}

bool contains(const std::vector<std::string_view>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  text = trimmed(text);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// mountinfo writes a space in a path as \040.
std::string unescaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const bool is_escape =
        text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr == text.data() + i + 4;
    result += is_escape ? static_cast<char>(code) : text[i];
    if (is_escape) i += 3;
  }
  return result;
}

struct Mount {
  std::string root;   // which part of the hierarchy is mounted
  std::string point;  // where
};

// "31 23 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
std::optional<Mount> find_mount(std::string_view mountinfo, std::string_view controller, bool is_unified) {
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::vector<std::string_view> words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const bool is_it =
        is_unified ? dash[1] == "cgroup2" : dash[1] == "cgroup" && contains(split(dash[3], ','), controller);
    if (is_it) return Mount{.root = unescaped(words[3]), .point = unescaped(words[4])};
  }
  return std::nullopt;
}

// The process's group in a hierarchy: "4:cpu,cpuacct:/user.slice", and "0::/user.slice" in version 2's.
std::optional<std::string> group_of(std::string_view cgroup, std::string_view controller, bool is_unified) {
  for (const std::string_view line : split(cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool is_it = is_unified ? line.substr(0, first) == "0" && controllers.empty()
                                  : contains(split(controllers, ','), controller);
    if (is_it) return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

void add_folders(std::string_view cgroup, std::string_view mountinfo, std::string_view controller, bool is_unified,
                 std::vector<CgroupFolder>& folders) {
  const std::optional<std::string> group = group_of(cgroup, controller, is_unified);
  const std::optional<Mount> mount = find_mount(mountinfo, controller, is_unified);
  if (!group || !mount) return;
  // In a container the mount may show the process's group alone while its path is told from the host's root, or begins
  // with "/..": then the mount point is the group.
  std::string below;
  if (mount->root == "/") {
    below = *group;
  } else if (*group == mount->root || group->starts_with(mount->root + "/")) {
    below = group->substr(mount->root.size());
  }
  if (below.starts_with("/..")) below.clear();
  const fs::path top = mount->point;
  fs::path path = top;
  for (const std::string_view part : split(below, '/')) {
    if (!part.empty()) path /= part;
  }
  for (; path != top; path = path.parent_path()) folders.push_back({.path = path, .is_unified = is_unified});
  folders.push_back({.path = top, .is_unified = is_unified});
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// "inactive_file 4096" of memory.stat; 0 if it is not there.
uint64_t value_of(std::string_view stat, std::string_view key) {
  for (const std::string_view line : split(stat, '\n')) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() == 2 && words[0] == key) return number_of<uint64_t>(words[1]).value_or(0);
  }
  return 0;
}

template <typename T>
void lower(std::optional<T>& least, std::optional<T> value) {
  if (value && (!least || *value < *least)) least = value;
}

void read_memory(const fs::path& folder, bool is_unified, CgroupLimits& limits) {
  const auto text_of = [&](const char* unified, const char* old) {
    return read_text(folder / (is_unified ? unified : old));
  };
  const std::optional<uint64_t> limit = parse_memory_limit(text_of("memory.max", "memory.limit_in_bytes"));
  if (!limit) return;
  lower(limits.memory_bytes, limit);
  const uint64_t used = number_of<uint64_t>(text_of("memory.current", "memory.usage_in_bytes")).value_or(0);
  const std::string stat = text_of("memory.stat", "memory.stat");
  const uint64_t files = is_unified ? value_of(stat, "inactive_file") + value_of(stat, "active_file")
                                    : value_of(stat, "total_inactive_file") + value_of(stat, "total_active_file");
  const uint64_t kept = used - std::min(used, files);
  lower(limits.memory_available, std::optional<uint64_t>(*limit - std::min(*limit, kept)));
}

}  // namespace

std::vector<CgroupFolder> cgroup_folders(std::string_view cgroup, std::string_view mountinfo,
                                         std::string_view controller) {
  std::vector<CgroupFolder> folders;
  for (const bool is_unified : {false, true}) add_folders(cgroup, mountinfo, controller, is_unified, folders);
  return folders;
}

std::optional<double> parse_cpu_max(std::string_view text) {
  const std::vector<std::string_view> words = words_of(trimmed(text));
  return words.size() == 2 ? parse_cfs_quota(words[0], words[1]) : std::nullopt;
}

std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period) {
  const std::optional<int64_t> time = number_of<int64_t>(quota);
  const std::optional<int64_t> of = number_of<int64_t>(period);
  if (!time || !of || *time <= 0 || *of <= 0) return std::nullopt;
  return static_cast<double>(*time) / static_cast<double>(*of);
}

std::optional<uint64_t> parse_memory_limit(std::string_view text) {
  const std::optional<uint64_t> bytes = number_of<uint64_t>(text);
  return bytes && *bytes < kNoLimit ? bytes : std::nullopt;
}

CgroupLimits read_cgroup_limits(const fs::path& root) {
  const std::string cgroup = read_text(root / "proc/self/cgroup");
  const std::string mountinfo = read_text(root / "proc/self/mountinfo");
  CgroupLimits limits;
  for (const CgroupFolder& folder : cgroup_folders(cgroup, mountinfo, "cpu")) {
    const fs::path path = root / folder.path.relative_path();
    lower(limits.processors, folder.is_unified ? parse_cpu_max(read_text(path / "cpu.max"))
                                               : parse_cfs_quota(read_text(path / "cpu.cfs_quota_us"),
                                                                 read_text(path / "cpu.cfs_period_us")));
  }
  for (const CgroupFolder& folder : cgroup_folders(cgroup, mountinfo, "memory")) {
    read_memory(root / folder.path.relative_path(), folder.is_unified, limits);
  }
  return limits;
}

}  // namespace nibble
