#include "runtime/device/open_device.h"

#include <array>
#include <charconv>

#include "runtime/base/driver_call.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/device/backend.h"
#include "runtime/device/select_device.h"

namespace nibble {
namespace {

std::array<Backend*, 3> backends() { return {&cpu_backend(), &vulkan_backend(), &opencl_backend()}; }

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

// What there is, and what there is not.
struct Listing {
  std::vector<FoundDevice> found;
  std::vector<std::string> missing;   // APIs that are not there
  std::vector<std::string> left_out;  // drivers that do not survive being loaded; nobody did without them by choice

  std::vector<std::string> problems() const {
    std::vector<std::string> all = left_out;
    all.insert(all.end(), missing.begin(), missing.end());
    return all;
  }
};

// Adds the devices of one API; throws as Backend::list() and the check do.
void list_api(Backend& backend, DeviceOptions& options, Listing& listing) {
  const std::string_view api = name_of(backend.kind());
  if (backend.kind() != BackendKind::kCpu && options.check_drivers) {
    for (const std::string& left_out : options.check_drivers(backend.kind(), options)) {
      listing.left_out.push_back(fmt::format("{}: {}", api, left_out));
    }
  }
  const DriverCall call(fmt::format("asking the drivers of {} for their devices", api));
  for (DeviceInfo& info : backend.list(options)) {
    std::string reason = why_not_auto(info);
    listing.found.push_back({.info = std::move(info), .not_auto = std::move(reason)});
  }
}

Listing list_apis(std::string_view name, DeviceOptions& options) {
  Listing listing;
  for (Backend* backend : backends()) {
    // The cpu is always there to be told of.
    if (backend->kind() != BackendKind::kCpu && !may_mean(name, backend->kind())) continue;
    try {
      list_api(*backend, options, listing);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kUsage) throw;  // a mistyped --limit is not a missing driver
      auto& problems = error.code() == ErrorCode::kDevice ? listing.left_out : listing.missing;
      problems.push_back(fmt::format("{}: {}", name_of(backend->kind()), error.what()));
    }
  }
  return listing;
}

std::unique_ptr<Device> open_found(const DeviceInfo& info, const DeviceOptions& options) {
  require_possible(options.disabled, info.backend);
  const DriverCall call(fmt::format("opening {} ({})", info.id, info.name));
  for (Backend* backend : backends()) {
    if (backend->kind() != info.backend) continue;
    const size_t colon = info.id.find(':');
    size_t index = 0;
    if (colon != std::string::npos) std::from_chars(info.id.data() + colon + 1, info.id.data() + info.id.size(), index);
    return backend->open(index, options);
  }
  fail(ErrorCode::kInternal, "device '{}' belongs to no backend", info.id);
}

}  // namespace

void treat_as_gpu(DeviceInfo& info) {
  if (info.type != DeviceType::kSoftware) return;
  info.type = DeviceType::kVirtualGpu;
  info.notes.emplace_back("a software driver that is treated as a GPU");
}

void require_possible(const std::vector<Capability>& disabled, BackendKind kind) {
  for (const Capability capability : disabled) {
    if (can_have(kind, capability)) continue;
    std::vector<std::string_view> known;
    for (size_t i = 0; i < static_cast<size_t>(Capability::kCount); ++i) {
      const auto other = static_cast<Capability>(i);
      if (can_have(kind, other)) known.push_back(name_of(other));
    }
    fail(ErrorCode::kUsage, "--disable {}: no device of {} has that; known there: {}", name_of(capability),
         name_of(kind), fmt::join(known, ", "));
  }
}

std::vector<FoundDevice> list_devices(const DeviceOptions& options, std::vector<std::string>* problems,
                                      std::string_view name) {
  DeviceOptions usable = options;
  Listing listing = list_apis(name, usable);
  if (problems != nullptr) *problems = listing.problems();
  return std::move(listing.found);
}

std::unique_ptr<Device> open_device(std::string_view name, const DeviceOptions& options) {
  DeviceOptions usable = options;
  // The cpu needs no driver to be asked, and asking them costs more than starting a small model does.
  if (name == "cpu") {
    require_possible(options.disabled, BackendKind::kCpu);
    return cpu_backend().open(0, usable);
  }
  const Listing listing = list_apis(name, usable);
  size_t chosen = 0;
  try {
    chosen = select_device(name, listing.found);
  } catch (const Error& error) {
    // What is missing may be what a problem is about.
    const std::vector<std::string> problems = listing.problems();
    if (error.code() != ErrorCode::kNotFound || problems.empty()) throw;
    fail(ErrorCode::kNotFound, "{}; {}", error.what(), fmt::join(problems, "; "));
  }
  for (const std::string& left_out : listing.left_out) warn("{}", left_out);
  return open_found(listing.found[chosen].info, usable);
}

}  // namespace nibble
