#include "runtime/core/workgroup_memory.h"

#include <gtest/gtest.h>

#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

Variant with_count(std::string_view count, ElementType type = ElementType::kF32) {
  return {
      .name = "some", .workgroup = 64, .constants = {{"ROWS", 6}, {"PANEL", 256}}, .shared = {{"array", type, count}}};
}

TEST(WorkgroupMemory, EvaluatesCounts) {
  EXPECT_EQ(workgroup_memory_of(with_count("3")), 12);
  EXPECT_EQ(workgroup_memory_of(with_count("WG", ElementType::kF32x4)), 1024);
  EXPECT_EQ(workgroup_memory_of(with_count("WG / 2 * ROWS")), 4 * 192);
  EXPECT_EQ(workgroup_memory_of(with_count("WG / ROWS * ROWS")), 4 * 60);
  EXPECT_EQ(workgroup_memory_of(with_count("16 * 512 + 16")), 4 * 8208);
  EXPECT_EQ(workgroup_memory_of(with_count("(ROWS + 4) * 3 + (2 * (1 + 1))")), 4 * 34);
  EXPECT_EQ(workgroup_memory_of(with_count("2 + PANEL * 16 + ROWS", ElementType::kU32)), 4 * 4104);
}

TEST(WorkgroupMemory, AddsArrays) {
  Variant variant = with_count("WG");
  variant.shared.push_back({"words", ElementType::kU32x4, "ROWS"});
  EXPECT_EQ(workgroup_memory_of(variant), 256 + 96);
  EXPECT_EQ(workgroup_memory_of(Variant{.name = "none"}), 0);
}

TEST(WorkgroupMemory, RefusesWhatIsNoCount) {
  for (const std::string_view count :
       {"", "UNKNOWN", "4 *", "* 4", "4 4", "WG / 0", "4x", "-1", "1 + ", "(4", "4)", "()"}) {
    SCOPED_TRACE(count);
    expect_error([&] { workgroup_memory_of(with_count(count)); }, "variant 'some'", "number of elements");
  }
}

TEST(WorkgroupMemory, IsKnownOfEveryVariant) {
  for (const KernelSpec* kernel : kernel_table()) {
    for (const Variant& variant : kernel->variants) {
      if (variant.shared.empty()) continue;
      EXPECT_GT(workgroup_memory_of(variant), 0) << qualified_name(*kernel, variant);
    }
  }
}

// Vulkan promises 16 KiB: the variant that always exists must do with that, but for the kernel that the model takes
// only where the device supports it.
TEST(WorkgroupMemory, OfPortableVariantsIsWhatEveryDeviceHas) {
  for (const KernelSpec* kernel : kernel_table()) {
    if (kernel == &kernels::attention_parts_f32()) continue;
    EXPECT_LE(workgroup_memory_of(kernel->variants.front()), 16384) << kernel->name;
  }
}

TEST(WorkgroupMemory, DecidesWhetherAVariantIsSupported) {
  DeviceInfo device;
  device.limits.max_workgroup_size = 64;
  device.limits.max_workgroup_memory = 4 * 8208;
  EXPECT_TRUE(is_supported(with_count("16 * 512 + 16"), device));
  EXPECT_FALSE(is_supported(with_count("16 * 512 + 17"), device));
}

}  // namespace
}  // namespace nibble
