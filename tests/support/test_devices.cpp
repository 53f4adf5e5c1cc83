#include "tests/support/test_devices.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include <gtest/gtest.h>

#include "runtime/base/error.h"
#include "tools/conformance/driver_label.h"

namespace nibble {
namespace {

constexpr int kSkipped = 77;  // the exit code that ctest is told to take as "skipped"
constexpr const char* kSwiftShaderManifest = "/usr/lib/chromium/vk_swiftshader_icd.json";

std::set<std::string>& wanted_labels() {
  static std::set<std::string> labels;
  return labels;
}

// Two devices of one driver are told apart by their ids.
std::string label_of(const DeviceInfo& info, const std::vector<TestDevice>& others) {
  std::string label = conformance::driver_label(info);
  if (std::ranges::find(others, label, &TestDevice::label) == others.end()) return label;
  label += "_" + info.id;
  std::replace(label.begin(), label.end(), ':', '_');
  return label;
}

// What the flags of run_device_tests() ask for on every device.
DeviceOptions& flag_options() {
  static DeviceOptions options;
  return options;
}

std::vector<TestDevice> find_devices() {
  DeviceOptions options = flag_options();
  if (std::filesystem::exists(kSwiftShaderManifest)) options.icds.emplace_back(kSwiftShaderManifest);
  std::vector<TestDevice> devices;
  for (const FoundDevice& found : list_devices(options)) {
    const std::string label = label_of(found.info, devices);
    if (found.info.type == DeviceType::kNull) continue;
    if (options.validation && found.info.backend != BackendKind::kVulkan) continue;
    const bool wanted = wanted_labels().contains(label) || wanted_labels().contains(found.info.id);
    if (!wanted_labels().empty() && !wanted) continue;
    devices.push_back({.label = label, .id = found.info.id, .options = options});
  }
  return devices;
}

bool report_devices() {
  std::set<std::string> labels;
  for (const TestDevice& device : test_devices()) {
    std::cout << "device: " << device << "\n";
    labels.insert(device.label);
  }
  bool complete = true;
  for (const std::string label : {"lavapipe", "swiftshader", "pocl"}) {
    if (flag_options().validation && label == std::string("pocl")) continue;
    if (labels.contains(label) || (!wanted_labels().empty() && !wanted_labels().contains(label))) continue;
    std::cout << "no driver: " << label << " is not installed, its tests are skipped\n";
    complete = false;
  }
  return complete || std::getenv("NIBBLE_REQUIRE_DRIVERS") == nullptr;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const TestDevice& device) {
  return out << device.label << " (" << device.id << ")";
}

const std::vector<TestDevice>& test_devices() {
  static const std::vector<TestDevice> devices = find_devices();
  return devices;
}

std::unique_ptr<Device> open_test_device(const TestDevice& device) { return open_device(device.id, device.options); }

bool takes_files(Device& device, const std::string& directory) {
  try {
    device.allocate_outside(4096, "probe", directory);
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUnsupported) return false;
    throw;
  }
}

int run_device_tests(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with("--device=")) wanted_labels().emplace(argument.substr(9));
    if (argument.starts_with("--limit=")) flag_options().limits.emplace_back(argument.substr(8));
    if (argument.starts_with("--disable=")) {
      flag_options().disabled.push_back(capability_from_name(argument.substr(10)));
    }
    if (argument == "--validation") flag_options().validation = true;
    if (argument == "--as-gpu") flag_options().as_gpu = true;
    if (argument == "--shuffle") flag_options().shuffle_spans = true;
  }
  testing::InitGoogleTest(&argc, argv);
  if (!report_devices()) {
    std::cout << "NIBBLE_REQUIRE_DRIVERS is set: missing drivers are failures\n";
    return 1;
  }
  if (test_devices().empty()) return kSkipped;
  return RUN_ALL_TESTS();
}

}  // namespace nibble
