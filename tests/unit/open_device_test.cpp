#include "runtime/device/open_device.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace nibble {
namespace {

FoundDevice device(std::string id, BackendKind backend, DeviceType type, std::string name, std::string not_auto = "") {
  FoundDevice found;
  found.info.id = std::move(id);
  found.info.backend = backend;
  found.info.type = type;
  found.info.name = std::move(name);
  found.not_auto = std::move(not_auto);
  return found;
}

// A machine with everything: cpu, a software driver, two cards of one name, and the cards again through OpenCL.
std::vector<FoundDevice> machine() {
  std::vector<FoundDevice> found = {
      device("cpu", BackendKind::kCpu, DeviceType::kCpu, "Some Processor"),
      device("vulkan:0", BackendKind::kVulkan, DeviceType::kSoftware, "llvmpipe (LLVM 15)", "a software driver"),
      device("vulkan:1", BackendKind::kVulkan, DeviceType::kIntegratedGpu, "Graphics 770"),
      device("vulkan:2", BackendKind::kVulkan, DeviceType::kDiscreteGpu, "Radiant RX"),
      device("vulkan:10", BackendKind::kVulkan, DeviceType::kDiscreteGpu, "Radiant RX"),
      device("opencl:0", BackendKind::kOpenCl, DeviceType::kDiscreteGpu, "gfx1100"),
  };
  found[2].info.uuid = "beefcafe00000000";
  found[3].info.uuid = "beef000000000000";
  found[2].info.pci_address = "0000:00:02.0";
  found[3].info.pci_address = "0000:03:00.0";
  found[4].info.pci_address = "0000:0a:00.0";
  found[5].info.pci_address = "0000:03:00.0";
  return found;
}

TEST(SelectDevice, AutoTakesADiscreteCardThenAnyGpuThenTheCpu) {
  std::vector<FoundDevice> found = machine();
  EXPECT_EQ(found[select_device("auto", found)].info.id, "vulkan:2");
  EXPECT_EQ(found[select_device("", found)].info.id, "vulkan:2");
  std::erase_if(found, [](const FoundDevice& d) { return d.info.type == DeviceType::kDiscreteGpu; });
  EXPECT_EQ(found[select_device("auto", found)].info.id, "vulkan:1");
  std::erase_if(found, [](const FoundDevice& d) { return d.info.type == DeviceType::kIntegratedGpu; });
  EXPECT_EQ(found[select_device("auto", found)].info.id, "cpu");
}

TEST(SelectDevice, AutoNeverTakesSoftwareOrWhatHasAReasonAgainstIt) {
  std::vector<FoundDevice> found = machine();
  for (FoundDevice& d : found) {
    if (d.info.type == DeviceType::kDiscreteGpu) d.not_auto = "broken";
  }
  EXPECT_EQ(found[select_device("auto", found)].info.id, "vulkan:1");
  const std::vector<FoundDevice> software = {
      device("vulkan:0", BackendKind::kVulkan, DeviceType::kSoftware, "llvmpipe"),
      device("opencl:0", BackendKind::kOpenCl, DeviceType::kNull, "nothing"),
      device("opencl:1", BackendKind::kOpenCl, DeviceType::kOther, "accelerator")};
  expect_error([&] { select_device("auto", software); }, "no device found");
}

TEST(SelectDevice, AnIndexMeansExactlyThatDevice) {
  const std::vector<FoundDevice> found = machine();
  for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(select_device(found[i].info.id, found), i);
  EXPECT_EQ(select_device("vulkan:1", found), 2u) << "not vulkan:10";
  EXPECT_EQ(select_device("VULKAN:0", found), 1u) << "asked for by name, a software driver is taken";
  expect_error([&] { select_device("vulkan:7", found); }, "no device 'vulkan:7'", "vulkan:10 (Radiant RX)", "cpu");
}

TEST(SelectDevice, APartOfTheNameIsEnoughWhenItIsUnique) {
  const std::vector<FoundDevice> found = machine();
  EXPECT_EQ(select_device("LLVMpipe", found), 1u);
  EXPECT_EQ(select_device("graphics 770", found), 2u);
  expect_error([&] { select_device("radiant", found); }, "'radiant' is ambiguous", "vulkan:2", "vulkan:10");
  expect_error([&] { select_device("nonesuch", found); }, "no device 'nonesuch'");
}

TEST(SelectDevice, TakesAUuidPrefix) {
  const std::vector<FoundDevice> found = machine();
  EXPECT_EQ(select_device("beef0000", found), 3u);
  EXPECT_EQ(select_device("BEEF-CAFE", found), 2u);
  expect_error([&] { select_device("beef", found); }, "ambiguous", "vulkan:1", "vulkan:2");
  expect_error([&] { select_device("bee", found); }, "no device 'bee'");
}

TEST(SelectDevice, TakesAPciAddressOfOneApi) {
  const std::vector<FoundDevice> found = machine();
  EXPECT_EQ(select_device("vulkan@0000:03:00.0", found), 3u);
  EXPECT_EQ(select_device("opencl@03:00.0", found), 5u);
  EXPECT_EQ(select_device("vulkan@0A:00.0", found), 4u);
  expect_error([&] { select_device("vulkan@0000:04:00.0", found); }, "no device 'vulkan@0000:04:00.0'");
}

}  // namespace
}  // namespace nibble
