// PipelineLibrary: the compute pipelines of a device, one per distinct kernel source, and their caches on disk.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/file_cache.h"
#include "runtime/core/kernel_needs.h"
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

struct PipelineRequest {
  const KernelSpec* kernel = nullptr;
  const Variant* variant = nullptr;
  std::vector<SlabShape> slabs;  // one per slab binding
  auto operator<=>(const PipelineRequest&) const = default;
};

class PipelineLibrary {
 public:
  PipelineLibrary(std::shared_ptr<Context> context, const std::filesystem::path& cache_dir);

  // In the order of the requests, which are distinct. What is not there yet is compiled by as many threads as there are
  // processors; `between`, if set, is called on this one before each that it compiles and ends the work by throwing.
  // Throws kUnsupported naming the kernel if the device's limits are too small for it.
  std::vector<std::shared_ptr<const Pipeline>> get(const std::vector<PipelineRequest>& requests,
                                                   const std::function<void()>& between);
  // Writes the driver's cache to disk if pipelines were added since the last time.
  void save();

 private:
  // What can be said of a pipeline before it is compiled.
  struct Draft {
    std::shared_ptr<Pipeline> pipeline;
    std::string source;
    KernelNeeds needs;
    uint32_t subgroup_size = 0;  // invocations of a subgroup, 0 for what the driver takes
  };
  Draft draft(const PipelineRequest& request) const;
  // Compiles it; from several threads at a time.
  void finish(Draft& draft);
  std::vector<uint32_t> spirv_for(const std::string& source, const std::string& name);
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
