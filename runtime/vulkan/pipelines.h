// PipelineLibrary: the compute pipelines of a device, one per distinct kernel source, and their caches on disk.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/file_cache.h"
#include "runtime/core/source_assembler.h"
#include "runtime/vulkan/context.h"

namespace nibble::vulkan {

struct Pipeline {
  std::shared_ptr<Context> context;
  std::string name;                // qualified name of kernel and variant
  std::vector<VkFormat> bindings;  // by number: format of a texel buffer, VK_FORMAT_UNDEFINED for a storage buffer
  uint32_t params_bytes = 0;
  uint32_t workgroup = 0;  // invocations
  SetLayoutHandle set_layout;
  PipelineLayoutHandle layout;
  PipelineHandle pipeline;
};

class PipelineLibrary {
 public:
  PipelineLibrary(std::shared_ptr<Context> context, const std::filesystem::path& cache_dir);

  // Compiles at the first request. Throws kUnsupported naming the kernel if the device's limits are too small for it.
  std::shared_ptr<const Pipeline> get(const KernelSpec& kernel, const Variant& variant,
                                      const std::vector<SlabShape>& slabs);
  // Writes the driver's cache to disk if pipelines were added since the last time.
  void save();

 private:
  std::vector<uint32_t> spirv_for(const std::string& source, const std::string& name);
  // subgroup_size: invocations of a subgroup, 0 for what the driver takes.
  void create(Pipeline& pipeline, const std::vector<uint32_t>& spirv, uint32_t subgroup_size);
  void create_layouts(Pipeline& pipeline);

  std::shared_ptr<Context> context_;
  FileCache files_;
  PipelineCacheHandle cache_;
  bool has_new_ = false;
  std::map<std::string, std::shared_ptr<const Pipeline>> by_source_;
};

inline VkDescriptorType descriptor_type(VkFormat binding) {
  return binding == VK_FORMAT_UNDEFINED ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
}

// Pipeline::bindings of a variant.
std::vector<VkFormat> binding_formats(const KernelSpec& kernel, const Variant& variant,
                                      const std::vector<SlabShape>& slabs);

// Keys of the two disk caches: everything that shapes the bytes.
std::string spirv_cache_key(std::string_view source);
std::string pipeline_cache_key(const DeviceFacts& facts);

}  // namespace nibble::vulkan
