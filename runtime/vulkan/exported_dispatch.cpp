#include "runtime/vulkan/exported_dispatch.h"

#include "runtime/core/source_assembler.h"
#include "runtime/core/variant.h"
#include "runtime/vulkan/compiler.h"
#include "runtime/vulkan/pipelines.h"
#include "runtime/vulkan/recorder.h"

namespace nibble::vulkan {

ExportedDispatch export_dispatch(const Dispatch& dispatch, const Variant& variant) {
  const KernelSpec& kernel = *dispatch.kernel;
  const std::vector<SlabShape> slabs = slab_shapes(dispatch);
  ExportedDispatch exported;
  exported.glsl = assemble_source(kernel, variant, slabs, Dialect::kGlsl);
  exported.spirv = compile_glsl(exported.glsl, qualified_name(kernel, variant));
  const std::vector<VkFormat> formats = binding_formats(kernel, variant, slabs);
  const auto add = [&](uint64_t range) {
    const VkFormat format = formats.at(exported.descriptors.size());
    const bool is_texels = format != VK_FORMAT_UNDEFINED;
    exported.descriptors.push_back({is_texels ? texel_range(range) : range, static_cast<uint32_t>(format)});
  };
  size_t next = 0;
  for (const BindingSpec& spec : kernel.bindings) {
    if (spec.kind == BindingKind::kStep) {
      add(VK_WHOLE_SIZE);
      continue;
    }
    for (const BufferView& view : dispatch.bindings.at(next++).views) add(descriptor_range(view.bytes));
  }
  return exported;
}

}  // namespace nibble::vulkan
