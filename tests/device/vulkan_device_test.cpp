// What is specific to the Vulkan backend; what every device must do is tested in device_test.cpp and program_test.cpp.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/device/backend.h"
#include "tests/device/device_fixture.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

class VulkanDeviceTest : public DeviceTest {
 protected:
  // Computes y = 3x + 1 with this cache folder on a freshly opened device.
  void compute_with_cache(const fs::path& folder) const {
    const std::unique_ptr<Device> device = open_with([&](DeviceOptions& o) { o.cache_dir = folder; });
    const std::vector<uint32_t> x = random_words(99, 1);
    const std::shared_ptr<Buffer> y = poisoned(*device, x.size(), "y");
    DispatchList list;
    list.add(affine(buffer_of(*device, x, "x"), y, 3, 1));
    const std::unique_ptr<Program> program = record(*device, list);
    run(*device, *program, step_of(1, 0));
    const std::vector<uint32_t> got = words_of(*device, y);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(got[i], 3 * x[i] + 1);
  }
};

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

TEST_P(VulkanDeviceTest, KeepsSpirvAndPipelinesOnDisk) {
  const TempDirectory folder;
  compute_with_cache(folder.path());
  const std::vector<fs::path> files = files_in(folder.path());
  EXPECT_EQ(files.size(), 2u);  // one kernel, one pipeline cache
  compute_with_cache(folder.path());
  EXPECT_EQ(files_in(folder.path()).size(), 2u);
}

TEST_P(VulkanDeviceTest, DamagedCacheFilesAreMadeAnew) {
  const TempDirectory folder;
  compute_with_cache(folder.path());
  for (const fs::path& file : files_in(folder.path())) {
    const auto bytes = fs::file_size(file);
    std::fstream(file, std::ios::binary | std::ios::in | std::ios::out).seekp(static_cast<std::streamoff>(bytes - 9))
        << "########";
  }
  testing::internal::CaptureStderr();
  compute_with_cache(folder.path());
  const std::string warnings = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(warnings.begin(), warnings.end(), '\n'), 1) << warnings;
  for (const fs::path& file : files_in(folder.path())) fs::resize_file(file, fs::file_size(file) / 2);
  compute_with_cache(folder.path());
}

TEST_P(VulkanDeviceTest, ACacheFolderThatCannotBeWrittenIsOneWarning) {
  const TempDirectory folder;
  const std::string file = folder.write("in_the_way", "not a folder");
  testing::internal::CaptureStderr();
  compute_with_cache(file);
  compute_with_cache(file);
  const std::string warnings = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(warnings.begin(), warnings.end(), '\n'), 1) << warnings;
  EXPECT_NE(warnings.find("in_the_way"), std::string::npos) << warnings;
}

std::vector<DeviceSetup> vulkan_setups() {
  std::vector<DeviceSetup> setups;
  for (const TestDevice& device : test_devices()) {
    if (device.id.starts_with("vulkan:")) setups.push_back({.label = device.label, .device = device});
  }
  return setups;
}
INSTANTIATE_TEST_SUITE_P(Devices, VulkanDeviceTest, testing::ValuesIn(vulkan_setups()), name_of_setup);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VulkanDeviceTest);

TEST(VulkanBackend, ADriverManifestThatDoesNotExistIsNamed) {
  expect_error([] { vulkan_backend().list({.icds = {"/no/such/driver.json"}}); }, "--icd", "/no/such/driver.json");
}

TEST(VulkanBackend, ADriverNamedTwiceShowsOnceAndTheEnvironmentIsPutBack) {
  std::vector<std::string> icds;
  for (const TestDevice& device : test_devices()) icds = device.options.icds;
  if (icds.empty()) GTEST_SKIP() << "no driver beside the system's is installed";
  // Someone else's list of drivers, one that exists nowhere: it is extended, then stands as it was.
  const auto names_with = [](const std::vector<std::string>& manifests) {
    std::vector<std::string> names;
    for (const DeviceInfo& info : vulkan_backend().list({.icds = manifests})) names.push_back(info.name);
    return names;
  };
  const std::vector<std::string> once = names_with(icds);
  icds.push_back(icds.front());
  EXPECT_EQ(names_with(icds), once);
  EXPECT_EQ(std::getenv("VK_ADD_DRIVER_FILES"), nullptr);

  ::setenv("VK_DRIVER_FILES", "/no/such/driver.json", 1);
  const std::vector<std::string> only_ours = names_with({icds.front()});
  EXPECT_STREQ(std::getenv("VK_DRIVER_FILES"), "/no/such/driver.json");
  ::unsetenv("VK_DRIVER_FILES");
  EXPECT_EQ(only_ours.size(), 1u);
}

TEST(VulkanBackend, AnIndexThatDoesNotExistIsNamed) {
  size_t count = 0;
  try {
    count = vulkan_backend().list({}).size();
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  expect_error([&] { vulkan_backend().open(count, {}); }, fmt::format("vulkan:{}", count));
}

}  // namespace
}  // namespace nibble
