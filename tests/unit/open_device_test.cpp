#include "runtime/device/open_device.h"

#include <gtest/gtest.h>

#include "runtime/base/error.h"
#include "runtime/base/processors.h"
#include "runtime/device/select_device.h"
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
  EXPECT_EQ(select_device("LLVMpipe", found), 1u) << "a software driver's whole name";
  EXPECT_EQ(select_device("graphics 770", found), 2u);
  expect_error([&] { select_device("radiant", found); }, "'radiant' is ambiguous", "vulkan:2", "vulkan:10");
  expect_error([&] { select_device("nonesuch", found); }, "no device 'nonesuch'");
}

// "1" would be part of "llvmpipe (LLVM 15)", and of "Radiant RX 7900" if it had that name.
TEST(SelectDevice, ANumberAloneNamesNothing) {
  const std::vector<FoundDevice> found = machine();
  for (const char* number : {"0", "1", "15", "770", "0000", "15000000000000000000000"}) {
    expect_error([&] { select_device(number, found); }, "a number alone names no device", "vulkan:1");
  }
  std::vector<FoundDevice> digits = machine();
  digits[3].info.uuid = "1234567800000000";
  EXPECT_EQ(select_device("12345678", digits), 3u) << "the start of a UUID";
}

TEST(SelectDevice, AGpuThatTwoApisShowIsTakenThroughTheOneThatAutoTakes) {
  const std::vector<FoundDevice> found = {
      device("cpu", BackendKind::kCpu, DeviceType::kCpu, "AMD EPYC 9334"),
      device("opencl:0", BackendKind::kOpenCl, DeviceType::kDiscreteGpu, "NVIDIA H100 80GB HBM3"),
      device("vulkan:0", BackendKind::kVulkan, DeviceType::kDiscreteGpu, "NVIDIA H100 80GB HBM3")};
  for (const char* name : {"auto", "nvidia", "h100", "NVIDIA H100 80GB HBM3", "vulkan"}) {
    EXPECT_EQ(found[select_device(name, found)].info.id, "vulkan:0") << name;
  }
  EXPECT_EQ(found[select_device("opencl", found)].info.id, "opencl:0");
}

TEST(SelectDevice, APartOfANameNeverMeansTheProcessor) {
  const std::vector<FoundDevice> found = {
      device("cpu", BackendKind::kCpu, DeviceType::kCpu, "AMD Ryzen 9 7950X"),
      device("vulkan:0", BackendKind::kVulkan, DeviceType::kIntegratedGpu, "AMD Radeon Graphics (RADV RAPHAEL)"),
      device("vulkan:1", BackendKind::kVulkan, DeviceType::kDiscreteGpu, "AMD Radeon RX 7900 XTX (RADV NAVI31)"),
      device("vulkan:2", BackendKind::kVulkan, DeviceType::kSoftware, "llvmpipe (LLVM 15.0.7, 256 bits)", "software"),
      device("opencl:0", BackendKind::kOpenCl, DeviceType::kSoftware, "cpu-znver4-AMD Ryzen 9 7950X", "software")};
  for (const char* name : {"amd", "radeon"}) EXPECT_EQ(found[select_device(name, found)].info.id, "vulkan:1") << name;
  EXPECT_EQ(found[select_device("raphael", found)].info.id, "vulkan:0");
  EXPECT_EQ(found[select_device("cpu", found)].info.id, "cpu");
  for (const char* name : {"ryzen", "7950x", "llvm", "pipe", "256 bits", "cpu-"}) {
    expect_error([&] { select_device(name, found); }, "no device", "vulkan:2");
  }
  for (const char* name : {"lavapipe", "llvmpipe", "LLVMpipe (LLVM 15.0.7, 256 bits)"}) {
    EXPECT_EQ(found[select_device(name, found)].info.id, "vulkan:2") << name;
  }
}

TEST(SelectDevice, SeveralMakersAreToldApartAndAnApiWithoutGpusIsNoGuess) {
  const std::vector<FoundDevice> found = {
      device("cpu", BackendKind::kCpu, DeviceType::kCpu, "13th Gen Intel(R) Core(TM) i7-13700K"),
      device("vulkan:0", BackendKind::kVulkan, DeviceType::kDiscreteGpu, "Intel(R) Arc(TM) A770 Graphics (DG2)"),
      device("vulkan:1", BackendKind::kVulkan, DeviceType::kDiscreteGpu, "NVIDIA GeForce RTX 3060"),
      device("opencl:0", BackendKind::kOpenCl, DeviceType::kSoftware, "13th Gen Intel(R) Core(TM) i7-13700K", "x")};
  for (const char* name : {"intel", "arc", "a770"}) {
    EXPECT_EQ(found[select_device(name, found)].info.id, "vulkan:0") << name;
  }
  EXPECT_EQ(found[select_device("nvidia", found)].info.id, "vulkan:1");
  expect_error([&] { select_device("opencl", found); }, "it shows no GPU", "opencl:0");
}

TEST(SelectDevice, OnlyTheApisThatANameCanMeanAreAsked) {
  for (const char* name : {"vulkan:0", "Vulkan:12", "vulkan@0000:03:00.0", "vulkan"}) {
    EXPECT_TRUE(may_mean(name, BackendKind::kVulkan)) << name;
    EXPECT_FALSE(may_mean(name, BackendKind::kOpenCl)) << name;
  }
  EXPECT_FALSE(may_mean("opencl:0", BackendKind::kVulkan));
  EXPECT_FALSE(may_mean("cpu", BackendKind::kVulkan));
  for (const char* name : {"auto", "nvidia", "beef", "vulkanic"}) {
    EXPECT_TRUE(may_mean(name, BackendKind::kVulkan) && may_mean(name, BackendKind::kOpenCl)) << name;
  }
}

// The check runs before an API's drivers are loaded, and only for those that the name can mean.
TEST(OpenDevice, AsksTheCheckForWhatItLoads) {
  std::vector<BackendKind> asked;
  DeviceOptions options;
  options.check_drivers = [&](BackendKind api, DeviceOptions&) -> std::vector<std::string> {
    asked.push_back(api);
    fail(ErrorCode::kDevice, "all of them die");
  };
  open_device("cpu", options);
  EXPECT_TRUE(asked.empty());
  expect_error([&] { open_device("opencl:0", options); }, "opencl: all of them die");
  EXPECT_EQ(asked, std::vector{BackendKind::kOpenCl});
  EXPECT_EQ(open_device("auto", options)->info().id, "cpu");
}

TEST(OpenDevice, WhatADeviceCannotHaveIsNotDisabledInSilence) {
  expect_error([] { open_device("cpu", {.disabled = {Capability::kSubgroups}}); }, "--disable subgroups", "avx2");
  const auto baseline = open_device("cpu", {.disabled = {Capability::kAvx2}});
  EXPECT_EQ(baseline->info().driver_version, "baseline");
  for (const Capability c : {Capability::kAvx2, Capability::kAvx512, Capability::kAvx512Dot}) {
    EXPECT_FALSE(baseline->info().capabilities.has(c)) << name_of(c) << " is built on avx2";
  }
}

TEST(OpenDevice, NoMoreThreadsThanProcessors) {
  EXPECT_EQ(open_device("cpu", {.threads = 1})->info().compute_units, 1u);
  EXPECT_EQ(open_device("cpu", {.threads = 1000})->info().compute_units, usable_processors().usable);
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
