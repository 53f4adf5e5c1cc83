#include "runtime/core/tuning.h"

#include <gtest/gtest.h>

#include "runtime/core/kernel_table.h"
#include "runtime/core/kernel_texts.h"
#include "runtime/core/variant.h"
#include "shaders/experts/moe/moe.h"

namespace nibble {
namespace {

const TuningRow kRows[] = {
    {"driver", "", "gemm", 0, "small"},
    {"driver", "", "gemm", 16, "large"},
    {"driver", "Model 7", "gemm", 4, "model"},
    {"other", "", "gemm", 0, "elsewhere"},
};

DeviceInfo device(std::string driver, std::string name) {
  DeviceInfo info;
  info.driver = std::move(driver);
  info.name = std::move(name);
  return info;
}

std::string_view of_rows(std::string_view kernel, const DeviceInfo& info, uint32_t rows) {
  return tuned_variant(
      kernel, info, rows, [](std::string_view) { return true; }, kRows);
}

TEST(Tuning, TakesTheLargestThresholdReached) {
  const DeviceInfo info = device("driver", "Card Model 3");
  EXPECT_EQ(of_rows("gemm", info, 1), "small");
  EXPECT_EQ(of_rows("gemm", info, 15), "small");
  EXPECT_EQ(of_rows("gemm", info, 16), "large");
}

TEST(Tuning, PrefersTheDeviceOverItsDriver) {
  const DeviceInfo info = device("driver", "Card Model 7");
  EXPECT_EQ(of_rows("gemm", info, 3), "small");
  EXPECT_EQ(of_rows("gemm", info, 64), "model");
}

// Rows for the latest devices of a driver stand behind those for all of them.
TEST(Tuning, TakesTheLastRowThatTheDeviceCanRun) {
  constexpr TuningRow kLater[] = {{"driver", "", "gemm", 8, "plain"}, {"driver", "", "gemm", 8, "units"}};
  const DeviceInfo info = device("driver", "Card");
  EXPECT_EQ(tuned_variant(
                "gemm", info, 9, [](std::string_view) { return true; }, kLater),
            "units");
  EXPECT_EQ(tuned_variant(
                "gemm", info, 9, [](std::string_view name) { return name != "units"; }, kLater),
            "plain");
}

TEST(Tuning, SaysNothingOfUnknownDriversAndKernels) {
  EXPECT_EQ(of_rows("gemm", device("drive", "Card"), 64), "");
  EXPECT_EQ(of_rows("topk", device("driver", "Card"), 64), "");
}

TEST(Tuning, TableNamesKernelsAndVariantsThatExist) {
  for (const TuningRow& row : tuning_table()) {
    const KernelSpec& kernel = find_kernel(row.kernel);
    bool known = false;
    for (const Variant& variant : kernel.variants) known = known || variant.name == row.variant;
    EXPECT_TRUE(known) << row.kernel << " has no variant " << row.variant;
  }
}

// Below kMoeTiledFrom tokens a session binds something else as `tiles`.
TEST(ChooseVariant, ReadsSortedExpertsOnlyWhereTheyAre) {
  for (const KernelSpec* kernel : {&kernels::moe_up_fp4_f32(), &kernels::moe_up_fp8_f32()}) {
    for (const Variant& variant : kernel->variants) {
      if (kernel_text(variant.text).find("tiles[") == std::string_view::npos) continue;
      EXPECT_GE(variant.requires_rows, kMoeTiledFrom) << qualified_name(*kernel, variant);
    }
  }
}

KernelSpec two_classes() {
  return {
      .name = "made_up",
      .variants = {
          {.name = "portable"},
          {.name = "grouped", .min_rows = 1000, .requires_rows = 8},
          {.name = "tiled", .min_rows = 16},
          {.name = "particular",
           .serves = [](std::span<const std::byte> params) { return params.size() == 4 && params[0] == std::byte{7}; }},
          {.name = "wide", .for_wide_cpu = true},
          {.name = "wide_opencl", .for_wide_cpu = true, .dialect = Dialect::kOpenCl},
          {.name = "wide_texels", .for_wide_cpu = true, .texels = {"w"}}}};
}

DeviceInfo of_kind(BackendKind backend, DeviceType type) {
  DeviceInfo info;
  info.backend = backend;
  info.type = type;
  info.limits.max_workgroup_size = 64;
  info.limits.max_workgroup_memory = 16384;
  return info;
}

TEST(ChooseVariant, FollowsClassDialectAndRows) {
  const KernelSpec kernel = two_classes();
  const DeviceInfo gpu = of_kind(BackendKind::kVulkan, DeviceType::kDiscreteGpu);
  EXPECT_EQ(choose_variant(kernel, gpu, 15).name, "portable");
  EXPECT_EQ(choose_variant(kernel, gpu, 16).name, "tiled");
  DeviceInfo software = of_kind(BackendKind::kVulkan, DeviceType::kSoftware);
  EXPECT_EQ(choose_variant(kernel, software, 16).name, "wide");
  software.capabilities.add(Capability::kTexelBuffers);
  EXPECT_EQ(choose_variant(kernel, software, 16).name, "wide_texels");
  const auto picked = [&](uint32_t rows, std::string_view forced) {
    return pick_variant({.kernel = &kernel, .rows = rows}, gpu, forced).name;
  };
  EXPECT_EQ(picked(1, "tiled"), "tiled");
  EXPECT_EQ(picked(7, "grouped"), "portable");
  EXPECT_EQ(picked(8, "grouped"), "grouped");
  EXPECT_EQ(choose_variant(kernel, of_kind(BackendKind::kOpenCl, DeviceType::kSoftware), 1).name, "wide_opencl");
}

TEST(ChooseVariant, TakesParticularVariantsForTheirParamsAlone) {
  const KernelSpec kernel = two_classes();
  const DeviceInfo gpu = of_kind(BackendKind::kVulkan, DeviceType::kDiscreteGpu);
  const auto picked = [&](uint32_t param, std::string_view forced) {
    return pick_variant({.kernel = &kernel, .params = pack_params(param), .rows = 1}, gpu, forced).name;
  };
  EXPECT_EQ(picked(7, ""), "particular");
  EXPECT_EQ(picked(7, "particular"), "particular");
  EXPECT_EQ(picked(8, ""), "portable");
  EXPECT_EQ(picked(8, "particular"), "portable") << "not even forced";
  EXPECT_EQ(choose_variant(kernel, gpu, 1).name, "portable") << "serves any params";
}

// The kernel tests leave out cases that a variant does not serve; they must not leave out all of them.
TEST(ChooseVariant, EveryParticularVariantHasCasesAndOthersDoToo) {
  for (const KernelSpec* kernel : kernel_table()) {
    for (const Variant& variant : kernel->variants) {
      if (variant.serves == nullptr) continue;
      size_t served = 0;
      size_t others = 0;
      for (const KernelCase& kernel_case : kernel->cases()) {
        Rng rng(1);
        serves(variant, kernel_case.make(rng).params) ? ++served : ++others;
      }
      EXPECT_GT(served, 1u) << qualified_name(*kernel, variant);
      EXPECT_GT(others, 0u) << qualified_name(*kernel, variant) << " could do without 'serves'";
    }
  }
}

}  // namespace
}  // namespace nibble
