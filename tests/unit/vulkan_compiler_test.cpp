#include <algorithm>

#include <gtest/gtest.h>

#include "runtime/core/kernel_texts.h"
#include "runtime/vulkan/compiler.h"
#include "runtime/vulkan/pipelines.h"
#include "tests/support/expect_error.h"

namespace nibble::vulkan {
namespace {

std::string shader(const std::string& declarations, const std::string& body) {
  return "#version 450\nlayout(local_size_x = 64) in;\n"
         "layout(std430, set = 0, binding = 0) restrict buffer Block0 { float y[]; };\n" +
         declarations + "void main() {\n#line 1\n" + body + "\n}\n";
}

TEST(VulkanCompiler, GivesAModuleOfSpirv13) {
  const std::vector<uint32_t> spirv = compile_glsl(shader("", "y[gl_LocalInvocationID.x] += 1.0;"), "k__v");
  ASSERT_GT(spirv.size(), 5u);
  EXPECT_EQ(spirv[0], 0x07230203u);
  EXPECT_EQ(spirv[1], 0x00010300u);
}

TEST(VulkanCompiler, NamesKernelAndLineOfAnError) {
  expect_error([] { compile_glsl(shader("", "float a = 1.0;\ny[0] = a + no_such_name;"), "gemv_fp4_f32__wg64"); },
               "gemv_fp4_f32__wg64", "no_such_name", "0:2");
}

TEST(VulkanCompiler, TheSameTextGivesTheSameModule) {
  const std::string text = shader("", "for (int i = 0; i < 9; ++i) y[i] = sqrt(y[i + 1]);");
  EXPECT_EQ(compile_glsl(text, "a"), compile_glsl(text, "a"));
}

TEST(VulkanCompiler, AllowsLargerWorkgroupsThanItsOwnDefault) {
  std::string text = shader("", "y[gl_LocalInvocationID.x] = 1.0;");
  text.replace(text.find("= 64"), 4, "= 2048");
  EXPECT_FALSE(compile_glsl(text, "wide").empty());
}

// The instruction must reach the driver as such: compile_glsl() validates, but a compiler might lower it.
TEST(VulkanCompiler, KeepsIntegerDotProducts) {
  std::string text = shader(std::string(kernel_text("dialect/int8_dot.prelude")),
                            "y[0] = float(INT8_DOT_ADD(floatBitsToUint(y[1]), floatBitsToUint(y[2]), 7));");
  text.insert(text.find('\n') + 1, "#extension GL_EXT_spirv_intrinsics : require\n");
  const std::vector<uint32_t> spirv = compile_glsl(text, "k__int8");
  constexpr uint32_t kPackedSignedDot = 6u << 16 | 4450;  // OpSDot: type, result, two vectors and the packed format
  EXPECT_EQ(std::count(spirv.begin(), spirv.end(), kPackedSignedDot), 1);
}

TEST(VulkanCompiler, CountsWorkgroupMemory) {
  const std::string use =
      "a[gl_LocalInvocationID.x] = y[gl_LocalInvocationID.x]; b[1] = vec4(y[0]);\n"
      "memoryBarrierShared(); barrier();\n"
      "y[gl_LocalInvocationID.x] = a[63u - gl_LocalInvocationID.x] + b[1].y;";
  EXPECT_EQ(workgroup_memory_bytes(compile_glsl(shader("shared float a[64];\nshared vec4 b[5];\n", use), "k")),
            64u * 4 + 5 * 16);
  EXPECT_EQ(workgroup_memory_bytes(compile_glsl(shader("", "y[0] = 1.0;"), "k")), 0u);
}

TEST(VulkanCacheKeys, HoldTheWholeTextAndTheCompiler) {
  EXPECT_NE(spirv_cache_key("a"), spirv_cache_key("b"));
  EXPECT_NE(spirv_cache_key("a").find(compiler_version()), std::string::npos);
}

TEST(VulkanCacheKeys, DifferInEverythingThatShapesAPipeline) {
  DeviceFacts facts;
  facts.driver_id = VK_DRIVER_ID_MESA_RADV;
  facts.driver_info = "Mesa 22.3.6";
  const std::string key = pipeline_cache_key(facts);
  EXPECT_EQ(key, pipeline_cache_key(facts));
  const auto changed = [&](auto&& change) {
    DeviceFacts other = facts;
    change(other);
    return pipeline_cache_key(other);
  };
  EXPECT_NE(key, changed([](DeviceFacts& f) { f.driver_id = VK_DRIVER_ID_MESA_LLVMPIPE; }));
  EXPECT_NE(key, changed([](DeviceFacts& f) { f.driver_info = "Mesa 22.3.7"; }));
  EXPECT_NE(key, changed([](DeviceFacts& f) { f.properties.driverVersion = 7; }));
  EXPECT_NE(key, changed([](DeviceFacts& f) { f.device_uuid[3] = 1; }));
  EXPECT_NE(key, changed([](DeviceFacts& f) { f.properties.pipelineCacheUUID[9] = 1; }));
}

}  // namespace
}  // namespace nibble::vulkan
