#include "runtime/core/source_assembler.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <type_traits>

#include "runtime/base/error.h"
#include "runtime/core/kernel_texts.h"

namespace nibble {
namespace {

std::string_view type_name(ElementType type, Dialect dialect) {
  const bool glsl = dialect == Dialect::kGlsl;
  switch (type) {
    case ElementType::kU32:
      return "uint";
    case ElementType::kF32:
      return "float";
    case ElementType::kU32x4:
      return glsl ? "uvec4" : "uint4";
    case ElementType::kF32x4:
      return glsl ? "vec4" : "float4";
  }
  return "uint";
}

std::string upper(std::string_view name) {
  std::string result(name);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return result;
}

// The names under which a binding's buffers appear: "x", or "w_0", "w_1", … for slabs.
std::vector<std::string> buffer_names(const BindingSpec& binding, uint32_t slabs) {
  if (binding.kind != BindingKind::kSlabs) return {std::string(binding.name)};
  std::vector<std::string> names;
  for (uint32_t s = 0; s < slabs; ++s) names.push_back(fmt::format("{}_{}", binding.name, s));
  return names;
}

bool reads_texels(const Variant& variant, const BindingSpec& binding, Dialect dialect) {
  const auto& texels = variant.texels;
  if (dialect != Dialect::kGlsl || std::find(texels.begin(), texels.end(), binding.name) == texels.end()) return false;
  check(binding.access == Access::kRead && binding.kind != BindingKind::kStep,
        "variant '{}' reads binding '{}' through texels, which is not a read-only buffer", variant.name, binding.name);
  return true;
}

// An expression for element `index` of the buffer `name`.
std::string read_element(const BindingSpec& binding, std::string_view name, std::string_view index, bool texels) {
  if (!texels) return fmt::format("{}[{}]", name, index);
  const bool is_scalar = element_bytes(binding.type) == 4;
  return fmt::format("texelFetch({}, int({})){}", name, index, is_scalar ? ".x" : "");
}

// NAME_LOAD reads element `i` of a binding without slabs.
std::string load_macro(const BindingSpec& binding, bool texels) {
  return fmt::format("#define {}_LOAD(i) {}\n", upper(binding.name), read_element(binding, binding.name, "i", texels));
}

// NAME_AT reads and NAME_PUT writes element `i` of an item whose length is `stride` elements; the slab is found by a
// chain of comparisons with constants, which a compiler folds away when there is one slab.
std::string slab_macros(const BindingSpec& binding, const SlabShape& shape, bool texels) {
  const std::string name = upper(binding.name);
  std::string text;
  if (shape.slabs == 1) {
    const std::string buffer = fmt::format("{}_0", binding.name);
    text += fmt::format("#define {}_AT(item, stride, i) {}\n", name,
                        read_element(binding, buffer, "(item) * (stride) + (i)", texels));
    if (texels) return text;
    text += fmt::format("#define {}_PUT(item, stride, i, value) {{ {}[(item) * (stride) + (i)] = (value); }}\n", name,
                        buffer);
    return text;
  }
  text += fmt::format("#define {}_SLAB(item) ((item) / {}u)\n", name, shape.items_per_slab);
  text +=
      fmt::format("#define {}_INDEX(item, stride, i) (((item) % {}u) * (stride) + (i))\n", name, shape.items_per_slab);
  std::string read;
  std::string write;
  for (uint32_t s = 0; s < shape.slabs; ++s) {
    const std::string buffer = fmt::format("{}_{}", binding.name, s);
    const std::string index = fmt::format("{}_INDEX(item, stride, i)", name);
    const std::string element = read_element(binding, buffer, index, texels);
    const bool last = s + 1 == shape.slabs;
    read += last ? element : fmt::format("{}_SLAB(item) == {}u ? {} : ", name, s, element);
    write += last ? fmt::format("{{ {} = (value); }}", element)
                  : fmt::format("if ({}_SLAB(item) == {}u) {{ {} = (value); }} else ", name, s, element);
  }
  text += fmt::format("#define {}_AT(item, stride, i) ({})\n", name, read);
  if (!texels) text += fmt::format("#define {}_PUT(item, stride, i, value) {{ {} }}\n", name, write);
  return text;
}

// NAME_ITEM points to an item of `stride` elements; OpenCL C only.
std::string item_macro(const BindingSpec& binding, const SlabShape& shape) {
  const std::string name = upper(binding.name);
  if (shape.slabs == 1) {
    return fmt::format("#define {}_ITEM(item, stride) ({}_0 + (item) * (stride))\n", name, binding.name);
  }
  std::string slab;
  for (uint32_t s = 0; s + 1 < shape.slabs; ++s)
    slab += fmt::format("{}_SLAB(item) == {}u ? {}_{} : ", name, s, binding.name, s);
  return fmt::format("#define {}_ITEM(item, stride) (({}{}_{}) + (item) % {}u * (stride))\n", name, slab, binding.name,
                     shape.slabs - 1, shape.items_per_slab);
}

std::string constants_text(const Variant& variant) {
  std::string text = fmt::format("#define WG {}\n", variant.workgroup);
  for (const ConstantValue& c : variant.constants) text += fmt::format("#define {} {}\n", c.name, c.value);
  text += fmt::format("#define STEP_TOKENS {}\n#define STEP_POSITION {}\n#define STEP_LOGITS {}\n", kStepTokens,
                      kStepPosition, kStepLogits);
  text += fmt::format("#define STEP_LOGITS_FIRST {}\n", kStepLogitsFirst);
  return text;
}

bool has_constant(const Variant& variant, std::string_view name) {
  return std::any_of(variant.constants.begin(), variant.constants.end(),
                     [&](const ConstantValue& c) { return c.name == name; });
}

std::string common_texts() {
  std::string text;
  for (const EmbeddedText& embedded : kernel_texts()) {
    if (embedded.name.starts_with("common/")) text += embedded.text;
  }
  return text;
}

std::string params_members(const KernelSpec& kernel) {
  std::string text;
  for (const ParamSpec& param : kernel.params)
    text += fmt::format("  {} {};\n", param.is_float ? "float" : "uint", param.name);
  return text;
}

std::string body_text(const Variant& variant) {
  // A text with a line break in its "path" is the kernel itself: tests bring their own.
  if (variant.text.find('\n') != std::string_view::npos) return std::string(variant.text);
  return std::string(kernel_text(variant.text));
}

// Calls f(binding, slab shape) for every binding; the shape is {1, 0} where the binding has no slabs.
template <typename F>
void for_each_binding(const KernelSpec& kernel, const std::vector<SlabShape>& slabs, F&& f) {
  size_t next_slab = 0;
  for (const BindingSpec& binding : kernel.bindings) {
    f(binding, binding.kind == BindingKind::kSlabs ? slabs.at(next_slab++) : SlabShape{});
  }
}

// The macros through which texts read bindings, however these are bound.
std::string access_macros(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs,
                          Dialect dialect) {
  std::string text;
  for_each_binding(kernel, slabs, [&](const BindingSpec& binding, const SlabShape& shape) {
    const bool texels = reads_texels(variant, binding, dialect);
    if (binding.kind == BindingKind::kSlabs) {
      text += slab_macros(binding, shape, texels);
      if (dialect == Dialect::kOpenCl) text += item_macro(binding, shape);
    }
    if (binding.kind == BindingKind::kBuffer && binding.access == Access::kRead) text += load_macro(binding, texels);
  });
  return text;
}

std::string declare_glsl(const BindingSpec& binding, std::string_view name, uint32_t number, bool texels) {
  if (texels) {
    const bool is_float = binding.type == ElementType::kF32 || binding.type == ElementType::kF32x4;
    return fmt::format("layout(set = 0, binding = {}) uniform {}samplerBuffer {};\n", number, is_float ? "" : "u",
                       name);
  }
  return fmt::format("layout(std430, set = 0, binding = {}) restrict {}buffer Block{} {{ {} {}[]; }};\n", number,
                     binding.access == Access::kRead ? "readonly " : "", number,
                     type_name(binding.type, Dialect::kGlsl), name);
}

std::string assemble_glsl(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs) {
  std::string text = "#version 450\n#extension GL_EXT_control_flow_attributes : require\n";
  if (variant.requires_.has(Capability::kSubgroups)) {
    text += "#extension GL_KHR_shader_subgroup_arithmetic : require\n";
  }
  const bool int8_dot = variant.requires_.has(Capability::kInt8Dot);
  if (int8_dot) text += "#extension GL_EXT_spirv_intrinsics : require\n";
  const bool matrix_units = variant.requires_.has(Capability::kMatrixUnits);
  const bool emulated_matrices = has_constant(variant, "EMULATED");
  if (matrix_units) {
    for (const std::string_view name :
         {"GL_KHR_shader_subgroup_basic", "GL_KHR_memory_scope_semantics",
          "GL_EXT_shader_explicit_arithmetic_types_float16", "GL_NV_cooperative_matrix"}) {
      text += fmt::format("#extension {} : require\n", name);
    }
    text += "#pragma use_vulkan_memory_model\n";
  }
  text += constants_text(variant);
  text += fmt::format("layout(local_size_x = {}) in;\n", variant.workgroup);
  uint32_t number = 0;
  for_each_binding(kernel, slabs, [&](const BindingSpec& binding, const SlabShape& shape) {
    for (const std::string& name : buffer_names(binding, shape.slabs)) {
      text += declare_glsl(binding, name, number++, reads_texels(variant, binding, Dialect::kGlsl));
    }
  });
  if (!kernel.params.empty()) {
    text += "layout(push_constant) uniform Params {\n" + params_members(kernel) + "} p;\n";
  }
  for (const SharedArray& array : variant.shared) {
    text += fmt::format("shared {} {}[{}];\n", type_name(array.type, Dialect::kGlsl), array.name, array.count);
  }
  text += kernel_text("dialect/glsl.prelude");
  if (int8_dot) text += kernel_text("dialect/int8_dot.prelude");
  text += common_texts();
  if (matrix_units || emulated_matrices) text += kernel_text("dialect/matrix_values.prelude");
  if (matrix_units) text += kernel_text("dialect/matrix_units.prelude");
  if (emulated_matrices) text += kernel_text("dialect/matrix_emulated.prelude");
  for (const std::string_view used : variant.uses) text += kernel_text(used);
  text += access_macros(kernel, variant, slabs, Dialect::kGlsl);
  text += "void main() {\n#line 1\n";
  text += body_text(variant);
  text += "\n}\n";
  return text;
}

std::string assemble_opencl(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs) {
  std::string text = constants_text(variant);
  text += kernel_text("dialect/opencl.prelude");
  text += common_texts();
  if (variant.dialect == Dialect::kOpenCl) {
    for (const std::string_view part : {"values", "entries"}) text += kernel_text(fmt::format("wide/{}.kernel", part));
  }
  for (const std::string_view used : variant.uses) text += kernel_text(used);
  if (!kernel.params.empty()) text += "typedef struct {\n" + params_members(kernel) + "} Params;\n";
  std::string arguments;
  const auto add_argument = [&](std::string argument) {
    arguments += arguments.empty() ? "" : ",\n    ";
    arguments += argument;
  };
  for_each_binding(kernel, slabs, [&](const BindingSpec& binding, const SlabShape& shape) {
    for (const std::string& name : buffer_names(binding, shape.slabs)) {
      add_argument(fmt::format("__global {}{}* restrict {}", binding.access == Access::kRead ? "const " : "",
                               type_name(binding.type, Dialect::kOpenCl), name));
    }
  });
  text += access_macros(kernel, variant, slabs, Dialect::kOpenCl);
  if (!kernel.params.empty()) add_argument("const Params p");
  text += fmt::format("__kernel __attribute__((reqd_work_group_size({}, 1, 1)))\nvoid {}({}) {{\n", variant.workgroup,
                      kernel.name, arguments);
  for (const SharedArray& array : variant.shared) {
    text += fmt::format("__local {} {}[{}];\n", type_name(array.type, Dialect::kOpenCl), array.name, array.count);
  }
  text += "#line 1\n";
  text += body_text(variant);
  text += "\n}\n";
  return text;
}

}  // namespace

std::vector<SlabShape> slab_shapes(const Dispatch& dispatch) {
  std::vector<SlabShape> shapes;
  size_t next = 0;
  for (const BindingSpec& spec : dispatch.kernel->bindings) {
    if (spec.kind == BindingKind::kStep) continue;
    const Binding& binding = dispatch.bindings.at(next++);
    if (spec.kind != BindingKind::kSlabs) continue;
    const auto slabs = static_cast<uint32_t>(binding.views.size());
    // One slab needs no division, whatever its length: keep such kernels the same text.
    shapes.push_back({.slabs = slabs, .items_per_slab = slabs == 1 ? 0 : binding.items_per_slab});
  }
  return shapes;
}

std::string assemble_source(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs,
                            Dialect dialect) {
  const auto wanted = static_cast<size_t>(std::count_if(kernel.bindings.begin(), kernel.bindings.end(),
                                                        [](const auto& b) { return b.kind == BindingKind::kSlabs; }));
  check(slabs.size() == wanted, "kernel '{}': {} slab shapes given, it has {} slab bindings", kernel.name, slabs.size(),
        wanted);
  return dialect == Dialect::kGlsl ? assemble_glsl(kernel, variant, slabs) : assemble_opencl(kernel, variant, slabs);
}

}  // namespace nibble
