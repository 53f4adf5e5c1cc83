// The kernels that measure a device's ceilings: which device may run which of them, and what their texts read through.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "bench/peak_kernels.h"
#include "runtime/core/source_assembler.h"
#include "runtime/core/variant.h"

namespace nibble::bench {
namespace {

DeviceInfo vulkan_device() {
  DeviceInfo device;
  device.backend = BackendKind::kVulkan;
  device.limits.max_workgroup_size = 256;
  device.limits.max_workgroup_memory = 16384;
  return device;
}

// Kernels of one kind that the device can run.
size_t ways(PeakKind kind, const DeviceInfo& device) {
  size_t count = 0;
  for (const PeakKernel& kernel : peak_kernels()) {
    count += kernel.kind == kind && is_supported(kernel.spec.variants.front(), device) ? 1 : 0;
  }
  return count;
}

TEST(BenchPeakKernels, ReadsThroughTexelsOnlyWhereTheDeviceDoes) {
  DeviceInfo device = vulkan_device();
  EXPECT_EQ(ways(PeakKind::kRead, device), 4u);
  EXPECT_EQ(ways(PeakKind::kCopy, device), 4u);
  device.capabilities.add(Capability::kTexelBuffers);
  EXPECT_EQ(ways(PeakKind::kRead, device), 8u);
  EXPECT_EQ(ways(PeakKind::kCopy, device), 4u);
  device.backend = BackendKind::kOpenCl;  // texels are GLSL's
  EXPECT_EQ(ways(PeakKind::kRead, device), 4u);
}

TEST(BenchPeakKernels, TextsReadAsTheVariantSays) {
  size_t through_texels = 0;
  for (const PeakKernel& kernel : peak_kernels()) {
    const Variant& variant = kernel.spec.variants.front();
    if (variant.dialect == Dialect::kOpenCl) continue;
    const std::string text = assemble_source(kernel.spec, variant, {}, Dialect::kGlsl);
    const bool fetches = text.find("texelFetch(x") != std::string::npos;
    EXPECT_EQ(fetches, !variant.texels.empty()) << qualified_name(kernel.spec, variant);
    through_texels += fetches ? 1 : 0;
  }
  EXPECT_EQ(through_texels, 4u);
}

TEST(BenchPeakKernels, NamesAreDistinct) {
  std::set<std::string> names;
  for (const PeakKernel& kernel : peak_kernels()) {
    const Variant& variant = kernel.spec.variants.front();
    const auto dialect = variant.dialect ? static_cast<int>(*variant.dialect) : -1;
    EXPECT_TRUE(names.insert(qualified_name(kernel.spec, variant) + std::to_string(dialect)).second)
        << qualified_name(kernel.spec, variant);
  }
}

}  // namespace
}  // namespace nibble::bench
