#include "runtime/core/device_info.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>

#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Capability::kCount)> kCapabilityNames = {
    "subgroups",
    "int8_dot",
    "matrix_units",
    "texel_buffers",
    "timestamps",
    "host_memory",
    "subgroup_size_control",
    "mapped_memory",
    "host_import",
    "avx2",
    "avx512",
    "avx512_dot"};

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

bool can_have(BackendKind kind, Capability capability) {
  switch (capability) {
    case Capability::kAvx2:
    case Capability::kAvx512:
    case Capability::kAvx512Dot:
    case Capability::kHostMemory:
      return kind == BackendKind::kCpu;
    case Capability::kTimestamps:
    case Capability::kHostImport:
      return true;
    default:
      return kind != BackendKind::kCpu;
  }
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

namespace {

struct SizeUnit {
  std::string_view name;
  uint64_t bytes;
};

// KiB and the single letters are powers of 1024, KB powers of 1000, as they are written on disks and cards.
constexpr uint64_t kKibi = 1024;
constexpr uint64_t kKilo = 1000;
constexpr std::array<SizeUnit, 14> kSizeUnits = {{{"", 1},
                                                  {"B", 1},
                                                  {"K", kKibi},
                                                  {"KiB", kKibi},
                                                  {"KB", kKilo},
                                                  {"M", kKibi* kKibi},
                                                  {"MiB", kKibi* kKibi},
                                                  {"MB", kKilo* kKilo},
                                                  {"G", kKibi* kKibi* kKibi},
                                                  {"GiB", kKibi* kKibi* kKibi},
                                                  {"GB", kKilo* kKilo* kKilo},
                                                  {"T", kKibi* kKibi* kKibi* kKibi},
                                                  {"TiB", kKibi* kKibi* kKibi* kKibi},
                                                  {"TB", kKilo* kKilo* kKilo* kKilo}}};

std::string_view without_spaces(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// A number of digits with perhaps a fraction, times the unit. A fraction is of whole bytes: what is less is cut off.
std::optional<uint64_t> scaled(std::string_view number, uint64_t unit) {
  const size_t point = std::min(number.find('.'), number.size());
  uint64_t whole = 0;
  const char* const whole_end = number.data() + point;
  const auto [end, error] = std::from_chars(number.data(), whole_end, whole);
  if (error != std::errc{} || end != whole_end) return std::nullopt;
  if (whole > std::numeric_limits<uint64_t>::max() / unit) return std::nullopt;
  uint64_t bytes = whole * unit;
  if (point == number.size()) return bytes;
  const std::string_view fraction = number.substr(point + 1);
  constexpr size_t kMostDigits = 18;
  if (unit == 1 || fraction.empty() || fraction.size() > kMostDigits) return std::nullopt;
  double part = 0;
  for (size_t i = fraction.size(); i-- > 0;) part = (part + (fraction[i] - '0')) / 10;
  const auto rest = static_cast<uint64_t>(part * static_cast<double>(unit));
  if (rest > std::numeric_limits<uint64_t>::max() - bytes) return std::nullopt;
  return bytes + rest;
}

}  // namespace

uint64_t parse_bytes(std::string_view text, std::string_view what) {
  const std::string_view trimmed = without_spaces(text);
  const size_t digits = std::min(trimmed.find_first_not_of("0123456789."), trimmed.size());
  const std::string_view unit = without_spaces(trimmed.substr(digits));
  for (const SizeUnit& known : kSizeUnits) {
    if (!equal_ignoring_case(unit, known.name)) continue;
    const std::optional<uint64_t> bytes = scaled(trimmed.substr(0, digits), known.bytes);
    if (bytes && trimmed.find('.') == trimmed.rfind('.')) return *bytes;
    break;
  }
  fail(ErrorCode::kUsage,
       "{}: '{}' is not a size from 0 to 2^64 - 1 bytes, like 1048576, 512KiB, 1.5GiB (powers of 1024) or 24GB (of "
       "1000)",
       what, text);
}

}  // namespace nibble
