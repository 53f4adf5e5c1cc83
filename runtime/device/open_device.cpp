#include "runtime/device/open_device.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "runtime/base/error.h"
#include "runtime/device/backend.h"

namespace nibble {
namespace {

std::array<Backend*, 3> backends() { return {&cpu_backend(), &vulkan_backend(), &opencl_backend()}; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::string why_not_auto(const DeviceInfo& info) {
  switch (info.type) {
    case DeviceType::kSoftware:
      return "a software driver: the cpu backend is faster on the same processor";
    case DeviceType::kNull:
      return "has no memory";
    case DeviceType::kOther:
      return "not a GPU";
    default:
      return "";
  }
}

bool is_gpu(const DeviceInfo& info) {
  return info.type == DeviceType::kDiscreteGpu || info.type == DeviceType::kIntegratedGpu ||
         info.type == DeviceType::kVirtualGpu;
}

std::string describe_all(const std::vector<FoundDevice>& found) {
  std::string text;
  for (const FoundDevice& device : found) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", device.info.id, device.info.name);
  }
  return text;
}

// auto: the first discrete GPU, else the first other GPU, else the cpu. Vulkan is listed before OpenCL, so a GPU that
// both APIs show is taken through Vulkan.
size_t select_auto(const std::vector<FoundDevice>& found) {
  for (const bool discrete : {true, false}) {
    for (size_t i = 0; i < found.size(); ++i) {
      if (!found[i].not_auto.empty() || !is_gpu(found[i].info)) continue;
      if ((found[i].info.type == DeviceType::kDiscreteGpu) == discrete) return i;
    }
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].info.backend == BackendKind::kCpu) return i;
  }
  fail(ErrorCode::kNotFound, "no device found");
}

bool is_uuid_prefix(std::string_view name) {
  const auto hex = [](unsigned char c) { return std::isxdigit(c) != 0 || c == '-'; };
  return name.size() >= 4 && std::all_of(name.begin(), name.end(), hex);
}

std::string without_dashes(std::string_view text) {
  std::string result = lower(text);
  std::erase(result, '-');
  return result;
}

std::vector<size_t> matches_of(std::string_view name, const std::vector<FoundDevice>& found) {
  std::vector<size_t> matches;
  const std::string wanted = lower(name);
  const size_t at = wanted.find('@');
  for (size_t i = 0; i < found.size(); ++i) {
    const DeviceInfo& info = found[i].info;
    if (info.id == wanted) return {i};
    const bool by_pci = at != std::string::npos && wanted.substr(0, at) == name_of(info.backend) &&
                        !info.pci_address.empty() && lower(info.pci_address).ends_with(wanted.substr(at + 1));
    if (by_pci) matches.push_back(i);
  }
  if (!matches.empty() || at != std::string::npos) return matches;
  if (is_uuid_prefix(wanted)) {
    for (size_t i = 0; i < found.size(); ++i) {
      if (!found[i].info.uuid.empty() && without_dashes(found[i].info.uuid).starts_with(without_dashes(wanted))) {
        matches.push_back(i);
      }
    }
  }
  if (!matches.empty()) return matches;
  for (size_t i = 0; i < found.size(); ++i) {
    if (lower(found[i].info.name).find(wanted) != std::string::npos) matches.push_back(i);
  }
  return matches;
}

}  // namespace

void treat_as_gpu(DeviceInfo& info) {
  if (info.type != DeviceType::kSoftware) return;
  info.type = DeviceType::kVirtualGpu;
  info.notes.emplace_back("a software driver that is treated as a GPU");
}

std::vector<FoundDevice> list_devices(const DeviceOptions& options, std::vector<std::string>* problems) {
  std::vector<FoundDevice> found;
  for (Backend* backend : backends()) {
    try {
      for (DeviceInfo& info : backend->list(options)) {
        std::string reason = why_not_auto(info);
        found.push_back({.info = std::move(info), .not_auto = std::move(reason)});
      }
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kUsage) throw;  // a mistyped --limit is not a missing driver
      if (problems != nullptr) problems->push_back(fmt::format("{}: {}", name_of(backend->kind()), error.what()));
    }
  }
  return found;
}

size_t select_device(std::string_view name, const std::vector<FoundDevice>& found) {
  if (name == "auto" || name.empty()) return select_auto(found);
  const std::vector<size_t> matches = matches_of(name, found);
  if (matches.empty()) fail(ErrorCode::kNotFound, "no device '{}'; found: {}", name, describe_all(found));
  if (matches.size() > 1) {
    std::vector<FoundDevice> several;
    for (const size_t i : matches) several.push_back(found[i]);
    fail(ErrorCode::kUsage, "device '{}' is ambiguous: {}", name, describe_all(several));
  }
  return matches.front();
}

std::unique_ptr<Device> open_device(std::string_view name, const DeviceOptions& options) {
  // The cpu needs no driver to be asked, and asking them costs more than starting a small model does.
  if (name == "cpu") return cpu_backend().open(0, options);
  std::vector<std::string> problems;
  const std::vector<FoundDevice> found = list_devices(options, &problems);
  const bool by_index = name.starts_with("vulkan") || name.starts_with("opencl");
  for (const std::string& problem : problems) {
    if (by_index && problem.starts_with(name.substr(0, 6)))
      fail(ErrorCode::kNotFound, "device '{}': {}", name, problem);
  }
  const DeviceInfo& info = found[select_device(name, found)].info;
  for (Backend* backend : backends()) {
    if (backend->kind() != info.backend) continue;
    const size_t colon = info.id.find(':');
    size_t index = 0;
    if (colon != std::string::npos) std::from_chars(info.id.data() + colon + 1, info.id.data() + info.id.size(), index);
    return backend->open(index, options);
  }
  fail(ErrorCode::kInternal, "device '{}' belongs to no backend", info.id);
}

}  // namespace nibble
