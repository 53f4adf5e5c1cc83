#include "runtime/core/device_info.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Capability::kCount)> kCapabilityNames = {
    "subgroups",     "f16",        "int8_dot",      "matrix_units", "int64",       "storage8",
    "storage16",     "bda",        "texel_buffers", "timestamps",   "host_memory", "subgroup_size_control",
    "mapped_memory", "host_import"};

struct LimitField {
  std::string_view name;
  uint64_t DeviceLimits::*wide = nullptr;
  uint32_t DeviceLimits::*narrow = nullptr;
};

constexpr std::array<LimitField, 7> kLimitFields = {{
    {"max_range", &DeviceLimits::max_range, nullptr},
    {"max_allocation", &DeviceLimits::max_allocation, nullptr},
    {"memory_bytes", &DeviceLimits::memory_bytes, nullptr},
    {"max_storage_bindings", nullptr, &DeviceLimits::max_storage_bindings},
    {"max_params_bytes", nullptr, &DeviceLimits::max_params_bytes},
    {"max_workgroup_size", nullptr, &DeviceLimits::max_workgroup_size},
    {"max_workgroup_memory", nullptr, &DeviceLimits::max_workgroup_memory},
}};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::string_view name_of(BackendKind kind) {
  switch (kind) {
    case BackendKind::kCpu:
      return "cpu";
    case BackendKind::kVulkan:
      return "vulkan";
    case BackendKind::kOpenCl:
      return "opencl";
  }
  return "?";
}

std::string_view name_of(DeviceType type) {
  switch (type) {
    case DeviceType::kDiscreteGpu:
      return "discrete GPU";
    case DeviceType::kIntegratedGpu:
      return "integrated GPU";
    case DeviceType::kVirtualGpu:
      return "virtual GPU";
    case DeviceType::kSoftware:
      return "software driver";
    case DeviceType::kCpu:
      return "cpu";
    case DeviceType::kNull:
      return "null device";
    case DeviceType::kOther:
      return "other";
  }
  return "?";
}

std::string_view name_of(Capability capability) { return kCapabilityNames.at(static_cast<size_t>(capability)); }

Capability capability_from_name(std::string_view name) {
  for (size_t i = 0; i < kCapabilityNames.size(); ++i) {
    if (kCapabilityNames[i] == name) return static_cast<Capability>(i);
  }
  fail(ErrorCode::kUsage, "unknown capability '{}'; known: {}", name, fmt::join(kCapabilityNames, ", "));
}

void apply_limit(DeviceInfo& info, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  const std::string_view key = assignment.substr(0, equals);
  std::vector<std::string_view> names;
  for (const LimitField& field : kLimitFields) {
    names.push_back(field.name);
    if (field.name != key) continue;
    if (equals == std::string_view::npos) fail(ErrorCode::kUsage, "--limit {}: expected {}=VALUE", key, key);
    const uint64_t value = parse_bytes(assignment.substr(equals + 1), fmt::format("--limit {}", key));
    if (value == 0) fail(ErrorCode::kUsage, "--limit {}: must be greater than 0", key);
    if (field.wide != nullptr) {
      info.limits.*field.wide = std::min(info.limits.*field.wide, value);
    } else {
      info.limits.*field.narrow = static_cast<uint32_t>(std::min<uint64_t>(info.limits.*field.narrow, value));
    }
    return;
  }
  fail(ErrorCode::kUsage, "unknown limit '{}'; known: {}", key, fmt::join(names, ", "));
}

std::string format_bytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.{}f} {}", value, value < 10 ? 2 : 1, kUnits[unit]);
}

uint64_t parse_bytes(std::string_view text, std::string_view what) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  constexpr std::array<std::pair<std::string_view, int>, 9> kUnits = {
      {{"", 0}, {"B", 0}, {"KiB", 10}, {"K", 10}, {"MiB", 20}, {"M", 20}, {"GiB", 30}, {"G", 30}, {"TiB", 40}}};
  for (const auto& [name, shift] : kUnits) {
    if (error != std::errc{} || !equal_ignoring_case(unit, name)) continue;
    if (number > (std::numeric_limits<uint64_t>::max() >> shift)) break;
    return number << shift;
  }
  fail(ErrorCode::kUsage, "{}: '{}' is not a size like 1048576, 512KiB, 1MiB or 2GiB", what, text);
}

}  // namespace nibble
