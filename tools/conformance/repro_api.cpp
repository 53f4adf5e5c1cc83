#include "tools/conformance/repro_api.h"

#include <fmt/format.h>

#include "runtime/opencl/exported_dispatch.h"
#include "runtime/vulkan/exported_dispatch.h"
#include "runtime/vulkan/matrix_units.h"

namespace nibble::conformance {

std::string c_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result + '"';
}

ReproApi vulkan_repro(const ReproMaterial& material, const PreparedCase& prepared, const Variant& variant,
                      const ReproLaunch& launch) {
  const vulkan::ExportedDispatch exported = vulkan::export_dispatch(prepared.dispatch, variant);
  const auto* words = reinterpret_cast<const char*>(exported.spirv.data());
  ReproApi api{
      .program = "repro/vulkan.cpp",
      .build = "g++ -std=c++17 -pthread repro.cpp -lvulkan -o repro && ./repro [DEVICE]",
      .needs = "the Vulkan headers and loader",
      .files = {{"kernel.spv", std::string(words, exported.spirv.size() * 4)}, {"kernel.comp", exported.glsl}},
      .file_note =
          "- `kernel.spv`, `kernel.comp`: the shader, and the GLSL that it was compiled from (glslang, "
          "spirv-opt)\n",
      .dispatch_note = fmt::format("{}, {} descriptors, {} bytes of push constants, no specialisation constants",
                                   launch.depends_on_step ? ", from an indirect buffer" : "",
                                   exported.descriptors.size(), prepared.data.params.size())};
  for (const vulkan::ExportedDescriptor& descriptor : exported.descriptors) {
    const std::string range = descriptor.range == UINT64_MAX ? "VK_WHOLE_SIZE" : std::to_string(descriptor.range);
    api.fields.push_back(fmt::format("{}, static_cast<VkFormat>({}), ", range, descriptor.format));
  }
  const CapabilitySet& on = material.info.capabilities;
  api.constants = fmt::format("constexpr uint32_t kWorkgroup = {};\nconstexpr bool kIsIndirect = {};\n",
                              variant.workgroup, launch.depends_on_step);
  api.constants += fmt::format("constexpr bool kIsMapped = {};  // buffers are written in place\n",
                               on.has(Capability::kMappedMemory));
  const bool holds_matrices = variant.requires_.has(Capability::kMatrixUnits);
  api.constants +=
      fmt::format("constexpr uint32_t kSubgroup = {};  // invocations, 0: as the driver likes\n",
                  holds_matrices ? vulkan::kMatrixSubgroup : parse_variant(material.row.variant).subgroup_size);
  const std::pair<std::string_view, Capability> features[] = {
      {"Int8Dot", Capability::kInt8Dot},
      {"MatrixUnits", Capability::kMatrixUnits},
      {"SubgroupSizeControl", Capability::kSubgroupSizeControl},
      {"TexelBuffers", Capability::kTexelBuffers},
  };
  for (const auto& [name, capability] : features) {
    api.constants += fmt::format("constexpr bool kWants{} = {};\n", name, on.has(capability));
  }
  return api;
}

ReproApi opencl_repro(const ReproMaterial& material, const PreparedCase& prepared, const Variant& variant) {
  const opencl::ExportedDispatch exported = opencl::export_dispatch(prepared.dispatch, variant, material.info.id);
  ReproApi api{.program = "repro/opencl.cpp",
               .build = "g++ -std=c++17 -pthread repro.cpp -lOpenCL -o repro && ./repro [DEVICE]",
               .needs = "the OpenCL headers and ICD loader",
               .files = {{"kernel.cl", exported.source}},
               .file_note = fmt::format("- `kernel.cl`: the kernel, built with `{}`\n", exported.build_options),
               .dispatch_note = fmt::format(", {} bytes of params by value, build options `{}`",
                                            prepared.data.params.size(), exported.build_options)};
  api.constants = fmt::format(
      "constexpr const char* kEntry = {};\nconstexpr const char* kBuildOptions = {};\nconstexpr size_t kWorkgroup = "
      "{};\n",
      c_string(exported.entry), c_string(exported.build_options), variant.workgroup);
  return api;
}

}  // namespace nibble::conformance
