#include "runtime/core/source_assembler.h"

#include <gtest/gtest.h>

#include "runtime/core/kernel_texts.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

KernelSpec spec() {
  KernelSpec kernel;
  kernel.name = "made_up";
  kernel.bindings = {{.name = "x", .type = ElementType::kF32x4},
                     {.name = "w", .type = ElementType::kU32, .kind = BindingKind::kSlabs},
                     {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep},
                     {.name = "y", .access = Access::kWrite}};
  kernel.params = {{.name = "rows"}, {.name = "eps", .is_float = true}};
  kernel.variants = {{.name = "portable",
                      .text = "uint marker = 0u;\n",
                      .workgroup = 96,
                      .constants = {{"TILE", 7}},
                      .shared = {{"part", ElementType::kF32, "WG * 4"}}}};
  return kernel;
}

std::string assemble(const KernelSpec& kernel, std::vector<SlabShape> slabs, Dialect dialect) {
  return assemble_source(kernel, kernel.variants[0], slabs, dialect);
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(SourceAssembler, NumbersGlslBindingsWithSlabsInARow) {
  const std::string text = assemble(spec(), {{.slabs = 3, .items_per_slab = 10}}, Dialect::kGlsl);
  EXPECT_TRUE(text.starts_with("#version 450\n"));
  EXPECT_TRUE(has(text, "binding = 0) restrict readonly buffer Block0 { vec4 x[]; };"));
  EXPECT_TRUE(has(text, "binding = 1) restrict readonly buffer Block1 { uint w_0[]; };"));
  EXPECT_TRUE(has(text, "binding = 3) restrict readonly buffer Block3 { uint w_2[]; };"));
  EXPECT_TRUE(has(text, "binding = 4) restrict readonly buffer Block4 { uint step[]; };"));
  EXPECT_TRUE(has(text, "binding = 5) restrict buffer Block5 { float y[]; };")) << "what is written is not readonly";
  EXPECT_FALSE(has(text, "binding = 6"));
  EXPECT_TRUE(has(text, "local_size_x = 96"));
  EXPECT_TRUE(has(text, "push_constant) uniform Params {\n  uint rows;\n  float eps;\n} p;"));
  EXPECT_TRUE(has(text, "shared float part[WG * 4];"));
}

TEST(SourceAssembler, PutsOpenClArgumentsInTheSameOrderAndParamsLast) {
  const std::string text = assemble(spec(), {{.slabs = 2, .items_per_slab = 10}}, Dialect::kOpenCl);
  size_t last = text.find("void made_up(");
  ASSERT_NE(last, std::string::npos);
  for (const std::string_view argument : {"__global const float4* restrict x,", "__global const uint* restrict w_0,",
                                          "__global const uint* restrict w_1,", "__global const uint* restrict step,",
                                          "__global float* restrict y,", "const Params p)"}) {
    const size_t at = text.find(argument, last);
    ASSERT_NE(at, std::string::npos) << argument << " in:\n" << text;
    last = at;
  }
  EXPECT_TRUE(has(text, "reqd_work_group_size(96, 1, 1)"));
  EXPECT_TRUE(has(text, "__local float part[WG * 4];"));
  EXPECT_TRUE(has(text, "FP_CONTRACT OFF"));
}

TEST(SourceAssembler, BothDialectsCarryConstantsHelpersAndTheText) {
  for (const Dialect dialect : {Dialect::kGlsl, Dialect::kOpenCl}) {
    const std::string text = assemble(spec(), {{.slabs = 1}}, dialect);
    EXPECT_TRUE(has(text, "#define WG 96\n"));
    EXPECT_TRUE(has(text, "#define TILE 7\n"));
    EXPECT_TRUE(has(text, "#define STEP_POSITION 1\n"));
    EXPECT_TRUE(has(text, "float e4m3_value(uint code)"));
    EXPECT_LT(text.find("#define WG 96"), text.find("#line 1\nuint marker = 0u;\n"));
    EXPECT_TRUE(has(text, "#line 1\nuint marker = 0u;\n")) << "errors count lines from the kernel's first";
  }
}

TEST(SourceAssembler, OneSlabNeedsNoDivision) {
  const std::string one = assemble(spec(), {{.slabs = 1}}, Dialect::kOpenCl);
  EXPECT_TRUE(has(one, "#define W_AT(item, stride, i) w_0[(item) * (stride) + (i)]"));
  EXPECT_FALSE(has(one, "W_SLAB"));
  const std::string two = assemble(spec(), {{.slabs = 2, .items_per_slab = 10}}, Dialect::kOpenCl);
  EXPECT_TRUE(has(two, "#define W_SLAB(item) ((item) / 10u)"));
  EXPECT_TRUE(has(one, "#define W_ITEM(item, stride) (w_0 + (item) * (stride))\n"));
  EXPECT_TRUE(has(two, "#define W_ITEM(item, stride) ((W_SLAB(item) == 0u ? w_0 : w_1) + (item) % 10u * (stride))\n"));
  EXPECT_NE(two, assemble(spec(), {{.slabs = 2, .items_per_slab = 11}}, Dialect::kOpenCl));
}

TEST(SourceAssembler, ReadsBindingsTheSameWayThroughTexels) {
  KernelSpec kernel = spec();
  const std::string plain = assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl);
  EXPECT_TRUE(has(plain, "#define X_LOAD(i) x[i]\n"));
  EXPECT_FALSE(has(plain, "Y_LOAD")) << "only what is read-only";
  kernel.variants[0].texels = {"x", "w"};
  const std::string text = assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl);
  EXPECT_TRUE(has(text, "layout(set = 0, binding = 0) uniform samplerBuffer x;"));
  EXPECT_TRUE(has(text, "layout(set = 0, binding = 1) uniform usamplerBuffer w_0;"));
  EXPECT_TRUE(has(text, "binding = 2) restrict readonly buffer Block2 { uint step[]; };"));
  EXPECT_TRUE(has(text, "#define X_LOAD(i) texelFetch(x, int(i))\n"));
  EXPECT_TRUE(has(text, "#define W_AT(item, stride, i) texelFetch(w_0, int((item) * (stride) + (i))).x\n"));
  EXPECT_FALSE(has(text, "W_PUT"));
  const std::string two = assemble(kernel, {{.slabs = 2, .items_per_slab = 10}}, Dialect::kGlsl);
  EXPECT_TRUE(has(two, "(W_SLAB(item) == 0u ? texelFetch(w_0, int(W_INDEX(item, stride, i))).x : texelFetch(w_1, "));
  EXPECT_TRUE(has(assemble(kernel, {{.slabs = 1}}, Dialect::kOpenCl), "#define X_LOAD(i) x[i]\n"));
}

TEST(SourceAssembler, TakesTexelsForReadOnlyBindingsAlone) {
  for (const std::string_view name : {"y", "step"}) {
    KernelSpec kernel = spec();
    kernel.variants[0].texels = {name};
    expect_error([&] { assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl); }, "'portable'", name);
  }
}

TEST(SourceAssembler, AsksForSubgroupsWhereTheVariantDoes) {
  KernelSpec kernel = spec();
  EXPECT_FALSE(has(assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl), "GL_KHR_shader_subgroup"));
  kernel.variants[0].requires_.add(Capability::kSubgroups);
  EXPECT_TRUE(has(assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl), "#extension GL_KHR_shader_subgroup_arithmetic"));
}

TEST(SourceAssembler, DeclaresIntegerDotProductsWhereTheVariantAsks) {
  KernelSpec kernel = spec();
  EXPECT_FALSE(has(assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl), "INT8_DOT_ADD"));
  kernel.variants[0].requires_.add(Capability::kInt8Dot);
  const std::string text = assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl);
  EXPECT_TRUE(has(text, "#extension GL_EXT_spirv_intrinsics : require\n"));
  EXPECT_TRUE(has(text, "#define INT8_DOT_ADD("));
}

TEST(SourceAssembler, LeavesOutWhatTheKernelDoesNotHave) {
  KernelSpec kernel = spec();
  kernel.params.clear();
  EXPECT_FALSE(has(assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl), "push_constant"));
  EXPECT_FALSE(has(assemble(kernel, {{.slabs = 1}}, Dialect::kOpenCl), "Params"));
}

TEST(SourceAssembler, WantsAShapeForEverySlabBindingAndATextThatExists) {
  expect_error([] { assemble(spec(), {}, Dialect::kGlsl); }, "0 slab shapes given, it has 1");
  KernelSpec kernel = spec();
  kernel.variants[0].text = "made_up/none.kernel";
  expect_error([&] { assemble(kernel, {{.slabs = 1}}, Dialect::kGlsl); }, "made_up/none.kernel");
  EXPECT_FALSE(kernel_text("common/formats.kernel").empty());
}

TEST(SlabShapes, ComeFromTheDispatch) {
  const KernelSpec kernel = spec();
  const auto buffer = std::make_shared<Buffer>(64, "buffer");
  Dispatch dispatch = {
      .kernel = &kernel, .bindings = {Binding(buffer), Binding({buffer, buffer}, 5), Binding(buffer)}, .label = "x"};
  EXPECT_EQ(slab_shapes(dispatch), (std::vector<SlabShape>{{.slabs = 2, .items_per_slab = 5}}));
  dispatch.bindings[1] = Binding({buffer}, 5);
  EXPECT_EQ(slab_shapes(dispatch), (std::vector<SlabShape>{{.slabs = 1, .items_per_slab = 0}}))
      << "one slab is the same text whatever its length";
}

}  // namespace
}  // namespace nibble
