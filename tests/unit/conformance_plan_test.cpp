#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "tools/conformance/plan.h"

namespace nibble::conformance {
namespace {

DeviceInfo gpu_with_subgroups(uint32_t smallest, uint32_t usual, uint32_t largest) {
  DeviceInfo info;
  info.backend = BackendKind::kVulkan;
  info.type = DeviceType::kDiscreteGpu;
  info.subgroup_size = usual;
  info.smallest_subgroup = smallest;
  info.largest_subgroup = largest;
  info.limits.max_workgroup_size = 1024;
  info.limits.max_workgroup_memory = 1u << 20;
  for (size_t i = 0; i < static_cast<size_t>(Capability::kCount); ++i) {
    info.capabilities.add(static_cast<Capability>(i));
  }
  return info;
}

std::set<std::string> variants(const DeviceInfo& info, bool full, const std::string& kernel = "gemm_bf16_f32") {
  std::set<std::string> names;
  for (const Row& row : plan_rows(info, {.kernel = kernel, .full = full})) names.insert(row.variant);
  return names;
}

TEST(ConformancePlan, FullRunsTryEverySizeOfSubgroupsButTheUsualOne) {
  const std::set<std::string> all = variants(gpu_with_subgroups(8, 32, 64), true);
  for (const char* name : {"gemv_subgroups", "gemv_subgroups@8", "gemv_subgroups@16", "gemv_subgroups@64"}) {
    EXPECT_TRUE(all.contains(name)) << name;
  }
  EXPECT_FALSE(all.contains("gemv_subgroups@32"));
  EXPECT_FALSE(all.contains("gemv@16")) << "it has no subgroups";
  EXPECT_FALSE(all.contains("texels@16")) << "it is for drivers on the host's processor";
  EXPECT_TRUE(variants(gpu_with_subgroups(8, 32, 64), true, "*gemv_subgroups").contains("gemv_subgroups@8"));
}

TEST(ConformancePlan, OtherRunsAndOtherDevicesTakeTheUsualSize) {
  const auto sized = [](const std::set<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [](const std::string& n) { return n.find('@') != n.npos; });
  };
  EXPECT_FALSE(sized(variants(gpu_with_subgroups(8, 32, 64), false)));
  EXPECT_FALSE(sized(variants(gpu_with_subgroups(32, 32, 32), true)));
  EXPECT_FALSE(sized(variants(gpu_with_subgroups(0, 32, 0), true)));
}

TEST(ConformancePlan, AVariantNamesItsSubgroupSize) {
  EXPECT_EQ(parse_variant("gemv_subgroups").name, "gemv_subgroups");
  EXPECT_EQ(parse_variant("gemv_subgroups").subgroup_size, 0u);
  EXPECT_EQ(parse_variant("gemv_subgroups@16").name, "gemv_subgroups");
  EXPECT_EQ(parse_variant("gemv_subgroups@16").subgroup_size, 16u);
}

}  // namespace
}  // namespace nibble::conformance
