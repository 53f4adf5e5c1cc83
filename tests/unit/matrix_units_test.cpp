// No driver about has matrix units: what reaches one that does is checked as far as it can be without.
#include "runtime/vulkan/matrix_units.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "runtime/core/kernel_table.h"
#include "runtime/core/source_assembler.h"
#include "runtime/vulkan/compiler.h"
#include "tests/support/expect_error.h"

namespace nibble::vulkan {
namespace {

using Operands = std::vector<uint32_t>;

// The operands of every instruction, by opcode.
std::multimap<uint32_t, Operands> instructions(const std::vector<uint32_t>& spirv) {
  std::multimap<uint32_t, Operands> all;
  for (size_t at = 5; at < spirv.size(); at += spirv[at] >> 16) {
    EXPECT_NE(spirv[at] >> 16, 0u);
    EXPECT_LE(at + (spirv[at] >> 16), spirv.size());
    const auto* words = spirv.data() + at;
    all.emplace(words[0] & 0xffffu, Operands(words + 1, words + (words[0] >> 16)));
  }
  return all;
}

constexpr uint32_t kOpTypeFloat = 22;
constexpr uint32_t kOpConstant = 43;
constexpr uint32_t kOpCapability = 17;
constexpr uint32_t kOpTypeMatrix = 4456;
constexpr uint32_t kOpMatrixLoad = 4457;
constexpr uint32_t kOpMatrixStore = 4458;
constexpr uint32_t kOpMatrixMulAdd = 4459;
constexpr uint32_t kFirstNv = 5358;
constexpr uint32_t kLastNv = 5362;

struct MatrixVariant {
  const KernelSpec* kernel = nullptr;
  const Variant* variant = nullptr;
};

std::vector<MatrixVariant> matrix_variants() {
  std::vector<MatrixVariant> found;
  for (const KernelSpec* kernel : kernel_table()) {
    for (const Variant& variant : kernel->variants) {
      if (variant.requires_.has(Capability::kMatrixUnits)) found.push_back({kernel, &variant});
    }
  }
  return found;
}

std::vector<uint32_t> compiled(const KernelSpec& kernel, const Variant& variant) {
  std::vector<SlabShape> slabs;
  for (const BindingSpec& binding : kernel.bindings) {
    if (binding.kind == BindingKind::kSlabs) slabs.push_back({.slabs = 1, .items_per_slab = 0});
  }
  return compile_glsl(assemble_source(kernel, variant, slabs, Dialect::kGlsl), variant.name);
}

TEST(MatrixUnits, AllTextsBecomeModulesOfTheKhrExtension) {
  ASSERT_FALSE(matrix_variants().empty());
  for (const auto& [kernel, variant] : matrix_variants()) {
    SCOPED_TRACE(std::string(kernel->name) + "__" + std::string(variant->name));
    const std::vector<uint32_t> spirv = compiled(*kernel, *variant);
    const auto all = instructions(spirv);
    for (uint32_t op = kFirstNv; op <= kLastNv; ++op) EXPECT_FALSE(all.contains(op)) << op;
    std::set<uint32_t> capabilities;
    for (auto [at, end] = all.equal_range(kOpCapability); at != end; ++at) capabilities.insert(at->second[0]);
    EXPECT_TRUE(capabilities.contains(6022) && capabilities.contains(5116) && capabilities.contains(5118));
    EXPECT_FALSE(capabilities.contains(5357));  // CooperativeMatrixNV

    // f16 is bf16 now, and each use has its type.
    for (auto [at, end] = all.equal_range(kOpTypeFloat); at != end; ++at) {
      const uint32_t bits = at->second[1];
      EXPECT_EQ(at->second, bits == 16 ? (Operands{at->second[0], 16, 0}) : (Operands{at->second[0], bits}));
    }
    std::map<uint32_t, uint32_t> constants;
    for (auto [at, end] = all.equal_range(kOpConstant); at != end; ++at) constants[at->second[1]] = at->second[2];
    std::map<uint32_t, uint32_t> use_of_type;
    for (auto [at, end] = all.equal_range(kOpTypeMatrix); at != end; ++at) {
      ASSERT_EQ(at->second.size(), 6u);
      use_of_type[at->second[0]] = constants.at(at->second[5]);
    }
    ASSERT_EQ(use_of_type.size(), 3u);

    for (auto [at, end] = all.equal_range(kOpMatrixLoad); at != end; ++at) {
      const uint32_t use = use_of_type.at(at->second[0]);
      EXPECT_EQ(constants.at(at->second[3]), use == 1 ? 1u : 0u) << "layout";  // B lies by columns
      EXPECT_EQ(constants.at(at->second[4]), 5u) << "stride";
    }

    // Operands of a product have the uses A, B and sum, however they came there.
    std::map<uint32_t, uint32_t> use_of_value;
    for (const auto& [op, operands] : all) {
      if (operands.size() > 1 && use_of_type.contains(operands[0])) {
        use_of_value[operands[1]] = use_of_type.at(operands[0]);
      }
    }
    ASSERT_GT(all.count(kOpMatrixMulAdd), 0u);
    for (auto [at, end] = all.equal_range(kOpMatrixMulAdd); at != end; ++at) {
      EXPECT_EQ(use_of_type.at(at->second[0]), 2u);
      EXPECT_EQ(use_of_value.at(at->second[2]), 0u);
      EXPECT_EQ(use_of_value.at(at->second[3]), 1u);
      EXPECT_EQ(use_of_value.at(at->second[4]), 2u);
    }
    ASSERT_GT(all.count(kOpMatrixStore), 0u);
    for (auto [at, end] = all.equal_range(kOpMatrixStore); at != end; ++at) {
      EXPECT_EQ(constants.at(at->second[2]), 1u) << "layout";
      EXPECT_EQ(constants.at(at->second[3]), 16u) << "stride";
    }
  }
}

TEST(MatrixUnits, ModulesWithoutMatricesStayAsTheyAre) {
  const std::vector<uint32_t> spirv = compile_glsl(
      "#version 450\nlayout(local_size_x = 8) in;\nlayout(set = 0, binding = 0) buffer B { float y[]; };\n"
      "void main() { y[gl_LocalInvocationID.x] *= 3.0; }\n",
      "k");
  EXPECT_EQ(with_bf16_matrices(spirv), spirv);
}

TEST(MatrixUnits, MatricesOfOtherSizesAreRefused) {
  const std::string text =
      "#version 450\n#extension GL_NV_cooperative_matrix : require\n"
      "#extension GL_KHR_memory_scope_semantics : require\n"
      "#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require\n#pragma use_vulkan_memory_model\n"
      "layout(local_size_x = 32) in;\nlayout(set = 0, binding = 0) buffer B { float y[]; };\n"
      "void main() { fcoopmatNV<32, gl_ScopeSubgroup, 8, 8> m; coopMatLoadNV(m, y, 0, 8, false); "
      "coopMatStoreNV(m, y, 64, 8, false); }\n";
  expect_error([&] { compile_glsl(text, "k"); }, "sizes that matrix_units.prelude does not name");
}

}  // namespace
}  // namespace nibble::vulkan
