#include <gtest/gtest.h>

#include "runtime/opencl/device_facts.h"

namespace nibble::opencl {
namespace {

DeviceFacts gpu_facts() {
  return {.platform_name = "Vendor CL",
          .platform_version = "OpenCL 3.0 V",
          .name = "Card",
          .version = "OpenCL 3.0 Vendor 7",
          .driver_version = "7.1",
          .profile = "FULL_PROFILE",
          .extensions = "cl_khr_fp64 cl_khr_fp16_not cl_khr_subgroups",
          .is_gpu = true,
          .max_mem_alloc_size = 2ull << 30,
          .global_mem_size = 8ull << 30,
          .local_mem_size = 48 << 10,
          .max_parameter_size = 4352,
          .max_work_group_size = 1024,
          .max_work_item_sizes = {512, 1024, 64},
          .mem_base_addr_align_bits = 4096,
          .compute_units = 20};
}

TEST(OpenClDeviceFacts, DescribesADiscreteCard) {
  DeviceFacts facts = gpu_facts();
  facts.uuid = {0x00, 0xab, 0x10};
  facts.pci = {0, 0x0a, 0x1f, 2};
  const DeviceInfo info = make_device_info(facts, 3, 1ull << 30);
  EXPECT_EQ(info.id, "opencl:3");
  EXPECT_EQ(info.type, DeviceType::kDiscreteGpu);
  EXPECT_EQ(info.driver, "Vendor CL");
  EXPECT_EQ(info.api_version, "OpenCL 3.0");
  EXPECT_EQ(info.uuid, "00ab10");
  EXPECT_EQ(info.pci_address, "0000:0a:1f.2");
  EXPECT_EQ(info.limits.max_allocation, 2ull << 30);
  EXPECT_EQ(info.limits.max_range, 2ull << 30);
  EXPECT_EQ(info.limits.memory_bytes, 8ull << 30) << "a card's memory is not the host's";
  EXPECT_EQ(info.limits.offset_alignment, 512u);
  EXPECT_EQ(info.limits.max_storage_bindings, 64u);
  EXPECT_EQ(info.limits.max_workgroup_size, 512u);
  EXPECT_EQ(info.limits.max_workgroup_memory, 48u << 10);
  EXPECT_TRUE(info.capabilities.has(Capability::kTimestamps));
  // The dialect has no words for these, so kernels that need them must not be chosen.
  EXPECT_FALSE(info.capabilities.has(Capability::kSubgroups));
  EXPECT_FALSE(info.capabilities.has(Capability::kMatrixUnits));
}

TEST(OpenClDeviceFacts, TellsDeviceTypes) {
  DeviceFacts facts = gpu_facts();
  facts.host_unified_memory = true;
  EXPECT_EQ(make_device_info(facts, 0, 0).type, DeviceType::kIntegratedGpu);
  facts.is_cpu = true;  // a simulator that claims to be everything
  EXPECT_EQ(make_device_info(facts, 0, 0).type, DeviceType::kSoftware);
  facts.is_cpu = false;
  facts.is_gpu = false;
  EXPECT_EQ(make_device_info(facts, 0, 0).type, DeviceType::kOther);
}

TEST(OpenClDeviceFacts, BoundsSoftwareDriversByTheHostsRam) {
  DeviceFacts facts = gpu_facts();
  facts.is_cpu = true;
  const DeviceInfo info = make_device_info(facts, 0, 1ull << 30);
  EXPECT_LT(info.limits.memory_bytes, 1ull << 30);
  EXPECT_GT(info.limits.memory_bytes, 1ull << 29);
  EXPECT_EQ(info.limits.max_allocation, info.limits.memory_bytes);
  ASSERT_EQ(info.notes.size(), 2u);
  EXPECT_NE(info.notes[0].find("of 8.00 GiB"), std::string::npos) << info.notes[0];
  EXPECT_EQ(make_device_info(facts, 0, 0).limits.memory_bytes, 8ull << 30) << "an unknown RAM bounds nothing";
  facts.global_mem_size = 128 << 20;
  facts.max_mem_alloc_size = 128 << 20;
  EXPECT_EQ(make_device_info(facts, 0, 1ull << 30).limits.memory_bytes, 128ull << 20);
}

TEST(OpenClDeviceFacts, BindingsFollowTheSizeOfArguments) {
  DeviceFacts facts = gpu_facts();
  facts.max_parameter_size = 256;
  EXPECT_EQ(make_device_info(facts, 0, 0).limits.max_storage_bindings, 16u);
  facts.max_parameter_size = 100;
  EXPECT_EQ(make_device_info(facts, 0, 0).limits.max_storage_bindings, 0u);
}

TEST(OpenClDeviceFacts, ListsUnusableDevicesWithTheReason) {
  const auto reason_with = [](auto&& change) {
    DeviceFacts facts = gpu_facts();
    change(facts);
    const DeviceInfo info = make_device_info(facts, 0, 0);
    EXPECT_EQ(info.type, DeviceType::kNull);
    EXPECT_EQ(info.notes.size(), 1u);
    return info.notes.empty() ? "" : info.notes[0];
  };
  EXPECT_EQ(reason_with([](DeviceFacts& f) { f.version = "OpenCL 1.1 Old"; }),
            "not used: 'OpenCL 1.1 Old' is older than OpenCL 1.2");
  EXPECT_EQ(reason_with([](DeviceFacts& f) { f.version = "rubbish"; }), "not used: 'rubbish' is older than OpenCL 1.2");
  EXPECT_EQ(reason_with([](DeviceFacts& f) { f.profile = "EMBEDDED_PROFILE"; }),
            "not used: profile is EMBEDDED_PROFILE, needed is FULL_PROFILE");
  EXPECT_EQ(reason_with([](DeviceFacts& f) { f.compiler_available = false; }), "not used: the driver has no compiler");
  EXPECT_EQ(unusable_reason(gpu_facts()), "");
}

TEST(OpenClDeviceFacts, FindsADeviceThatIsListedTwice) {
  const DeviceFacts first = gpu_facts();
  DeviceFacts again = gpu_facts();
  EXPECT_FALSE(is_duplicate(first, again)) << "two equal cards of one platform";
  again.platform_index = 1;
  EXPECT_TRUE(is_duplicate(first, again)) << "the driver is registered twice";
  again.device_index = 1;
  EXPECT_FALSE(is_duplicate(first, again)) << "the second card through the second registration";
  again.uuid = {1, 2};
  DeviceFacts same = first;
  same.uuid = {1, 2};
  EXPECT_TRUE(is_duplicate(same, again)) << "a UUID says more than the place in the list";
  again.platform_version = "OpenCL 3.0 W";
  EXPECT_FALSE(is_duplicate(same, again)) << "another version of the driver";
}

TEST(OpenClDeviceFacts, OnlyOclgrindIsBuiltWithoutOptimiser) {
  DeviceFacts facts = gpu_facts();
  EXPECT_EQ(build_options(facts), "-cl-std=CL1.2");
  facts.platform_name = "Oclgrind";
  EXPECT_EQ(build_options(facts), "-cl-std=CL1.2 -cl-opt-disable");
}

TEST(OpenClDeviceFacts, ExtensionsAreWholeWords) {
  EXPECT_TRUE(has_extension(gpu_facts(), "cl_khr_fp64"));
  EXPECT_FALSE(has_extension(gpu_facts(), "cl_khr_fp16"));
  EXPECT_FALSE(has_extension(gpu_facts(), "cl_khr_subgroup"));
}

}  // namespace
}  // namespace nibble::opencl
