#include "runtime/device/select_device.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "runtime/base/error.h"

namespace nibble {
namespace {

using Found = std::vector<FoundDevice>;
using Indices = std::vector<size_t>;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

bool is_gpu(const DeviceInfo& info) {
  return info.type == DeviceType::kDiscreteGpu || info.type == DeviceType::kIntegratedGpu ||
         info.type == DeviceType::kVirtualGpu;
}

std::string describe_all(const Found& found) {
  std::string text;
  for (const FoundDevice& device : found) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", device.info.id, device.info.name);
  }
  return text;
}

std::string describe_some(const Found& found, const Indices& some) {
  Found chosen;
  for (const size_t i : some) chosen.push_back(found[i]);
  return describe_all(chosen);
}

// Lower comes first. Discrete GPUs, then other GPUs, then what is no GPU; of each Vulkan before OpenCL, which shows the
// same GPUs again.
int rank_of(const DeviceInfo& info) {
  const int kind = info.type == DeviceType::kDiscreteGpu ? 0 : is_gpu(info) ? 1 : 2;
  return 2 * kind + (info.backend == BackendKind::kOpenCl ? 1 : 0);
}

Indices best_of(const Found& found, const Indices& candidates) {
  Indices best;
  for (const size_t i : candidates) {
    if (best.empty() || rank_of(found[i].info) < rank_of(found[best.front()].info)) best.clear();
    if (best.empty() || rank_of(found[i].info) == rank_of(found[best.front()].info)) best.push_back(i);
  }
  return best;
}

size_t select_auto(const Found& found) {
  Indices gpus;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].not_auto.empty() && is_gpu(found[i].info)) gpus.push_back(i);
  }
  if (!gpus.empty()) return best_of(found, gpus).front();
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].info.backend == BackendKind::kCpu) return i;
  }
  fail(ErrorCode::kNotFound, "no device found");
}

[[noreturn]] void fail_ambiguous(std::string_view name, const Found& found, const Indices& several) {
  fail(ErrorCode::kUsage, "device '{}' is ambiguous: {}", name, describe_some(found, several));
}

// Of several matches the one that `auto` would take; several of one name and rank are no guess's business.
size_t take_best(std::string_view name, const Found& found, const Indices& matches) {
  const Indices best = best_of(found, matches);
  Indices alike;
  for (const size_t i : best) {
    if (found[i].info.name == found[best.front()].info.name) alike.push_back(i);
  }
  if (alike.size() > 1) fail_ambiguous(name, found, alike);
  return best.front();
}

bool all_are(std::string_view text, int (*is)(int)) {
  return !text.empty() && std::ranges::all_of(text, [&](unsigned char c) { return is(c) != 0; });
}

std::string without_dashes(std::string_view text) {
  std::string result = lower(text);
  std::erase(result, '-');
  return result;
}

// The start of a UUID. Through several APIs one GPU has one UUID.
Indices by_uuid(std::string_view wanted, const Found& found) {
  Indices matches;
  const std::string start = without_dashes(wanted);
  if (start.size() < 4 || !all_are(start, std::isxdigit)) return matches;
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string uuid = without_dashes(found[i].info.uuid);
    if (!uuid.empty() && uuid.starts_with(start)) matches.push_back(i);
  }
  return matches;
}

size_t take_by_uuid(std::string_view name, const Found& found, const Indices& matches) {
  const std::string uuid = without_dashes(found[matches.front()].info.uuid);
  const bool is_one =
      std::ranges::all_of(matches, [&](size_t i) { return without_dashes(found[i].info.uuid) == uuid; });
  if (!is_one) fail_ambiguous(name, found, matches);
  return take_best(name, found, matches);
}

// A software driver is meant by its whole name only: "intel" must not end up on the processor's own OpenCL driver.
bool names_software(std::string_view wanted, const DeviceInfo& info) {
  struct CommonName {
    std::string_view typed;
    std::string_view part;  // of what the driver calls itself
  };
  constexpr std::array<CommonName, 5> kCommonNames = {{{"llvmpipe", "llvmpipe"},
                                                       {"lavapipe", "llvmpipe"},
                                                       {"swiftshader", "swiftshader"},
                                                       {"pocl", "portable computing language"},
                                                       {"oclgrind", "oclgrind"}}};
  const std::string both = lower(info.name + "\n" + info.driver);
  if (wanted == lower(info.name) || wanted == lower(info.driver)) return true;
  return std::ranges::any_of(kCommonNames, [&](const CommonName& common) {
    return wanted == common.typed && both.find(common.part) != std::string::npos;
  });
}

Indices by_name(std::string_view wanted, const Found& found) {
  Indices whole;
  Indices parts;
  for (size_t i = 0; i < found.size(); ++i) {
    const DeviceInfo& info = found[i].info;
    const bool is_hardware = is_gpu(info) || (info.type == DeviceType::kOther && info.backend != BackendKind::kCpu);
    if (wanted == lower(info.name)) whole.push_back(i);
    if (is_hardware && lower(info.name).find(wanted) != std::string::npos) parts.push_back(i);
    if (info.type == DeviceType::kSoftware && names_software(wanted, info)) parts.push_back(i);
  }
  return whole.empty() ? parts : whole;
}

// "vulkan@0000:03:00.0", "opencl@03:00.0"
Indices by_address(std::string_view wanted, const Found& found) {
  const size_t at = wanted.find('@');
  Indices matches;
  for (size_t i = 0; i < found.size(); ++i) {
    const DeviceInfo& info = found[i].info;
    const bool is_it = wanted.substr(0, at) == name_of(info.backend) && !info.pci_address.empty() &&
                       lower(info.pci_address).ends_with(wanted.substr(at + 1));
    if (is_it) matches.push_back(i);
  }
  return matches;
}

// "vulkan" alone: its GPU that `auto` would take.
size_t take_of_api(std::string_view api, const Found& found) {
  Indices gpus;
  for (size_t i = 0; i < found.size(); ++i) {
    if (name_of(found[i].info.backend) == api && is_gpu(found[i].info)) gpus.push_back(i);
  }
  if (gpus.empty()) fail(ErrorCode::kNotFound, "device '{}': it shows no GPU; found: {}", api, describe_all(found));
  return best_of(found, gpus).front();
}

}  // namespace

bool may_mean(std::string_view name, BackendKind api) {
  const std::string wanted = lower(name);
  for (const BackendKind kind : {BackendKind::kCpu, BackendKind::kVulkan, BackendKind::kOpenCl}) {
    const std::string_view prefix = name_of(kind);
    if (!wanted.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(wanted).substr(prefix.size());
    if (rest.empty() || rest.front() == ':' || rest.front() == '@') return kind == api;
  }
  return true;
}

size_t select_device(std::string_view name, const Found& found) {
  if (name == "auto" || name.empty()) return select_auto(found);
  const std::string wanted = lower(name);
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].info.id == wanted) return i;
  }
  Indices matches;
  if (wanted.find('@') != std::string::npos) {
    matches = by_address(wanted, found);
  } else if (wanted == name_of(BackendKind::kVulkan) || wanted == name_of(BackendKind::kOpenCl)) {
    return take_of_api(wanted, found);
  } else {
    if (matches = by_uuid(wanted, found); !matches.empty()) return take_by_uuid(name, found, matches);
    // Names have numbers in them, versions and sizes: whoever types one means an index, but of which API?
    if (all_are(wanted, std::isdigit)) {
      fail(ErrorCode::kUsage, "device '{}': a number alone names no device; write vulkan:{} or opencl:{}; found: {}",
           name, name, name, describe_all(found));
    }
    matches = by_name(wanted, found);
  }
  if (!matches.empty()) return take_best(name, found, matches);
  fail(ErrorCode::kNotFound, "no device '{}'; found: {}", name, describe_all(found));
}

}  // namespace nibble
