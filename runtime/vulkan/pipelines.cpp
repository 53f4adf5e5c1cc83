#include "runtime/vulkan/pipelines.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "runtime/base/driver_call.h"
#include "runtime/base/processors.h"
#include "runtime/base/thread_pool.h"
#include "runtime/core/variant.h"
#include "runtime/vulkan/compiler.h"
#include "runtime/vulkan/matrix_units.h"

namespace nibble::vulkan {
namespace {

constexpr VkPipelineShaderStageCreateFlags kFullSubgroups =
    VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;

uint32_t required_subgroup(const Variant& variant, const DevicePlan& plan) {
  if (variant.requires_.has(Capability::kMatrixUnits)) return kMatrixSubgroup;
  return variant.requires_.has(Capability::kSubgroups) ? plan.subgroup_size : 0;
}

}  // namespace

std::vector<VkFormat> binding_formats(const KernelSpec& kernel, const Variant& variant,
                                      const std::vector<SlabShape>& slabs) {
  std::vector<VkFormat> formats;
  size_t next = 0;
  for (const BindingSpec& binding : kernel.bindings) {
    const bool texels = std::find(variant.texels.begin(), variant.texels.end(), binding.name) != variant.texels.end();
    const uint32_t count = binding.kind == BindingKind::kSlabs ? slabs.at(next++).slabs : 1;
    formats.insert(formats.end(), count, texels ? texel_format(binding.type) : VK_FORMAT_UNDEFINED);
  }
  return formats;
}

std::string spirv_cache_key(std::string_view source) {
  return fmt::format("spirv\n{}\n{}", compiler_version(), source);
}

std::string pipeline_cache_key(const DeviceFacts& facts) {
  return fmt::format("pipelines\ndriver {} '{}' '{}' {}\ndevice {:02x} '{}'\ncache {:02x}",
                     static_cast<int>(facts.driver_id), facts.driver_name, facts.driver_info,
                     facts.properties.driverVersion, fmt::join(facts.device_uuid, ""), facts.properties.deviceName,
                     fmt::join(facts.properties.pipelineCacheUUID, ""));
}

PipelineLibrary::PipelineLibrary(std::shared_ptr<Context> context, const std::filesystem::path& cache_dir)
    : context_(std::move(context)), files_(cache_dir.empty() ? cache_dir : cache_dir / "vulkan") {
  const std::vector<std::byte> stored =
      files_.load(pipeline_cache_key(context_->plan().facts)).value_or(std::vector<std::byte>{});
  const VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                          .pNext = nullptr,
                                          .flags = 0,
                                          .initialDataSize = stored.size(),
                                          .pInitialData = stored.data()};
  VkPipelineCache cache = VK_NULL_HANDLE;
  context_->check(context_->api().vkCreatePipelineCache(context_->device(), &info, nullptr, &cache),
                  "vkCreatePipelineCache");
  cache_ = PipelineCacheHandle(*context_, cache);
}

PipelineLibrary::Draft PipelineLibrary::draft(const PipelineRequest& request) const {
  const KernelSpec& kernel = *request.kernel;
  const Variant& variant = *request.variant;
  Draft draft{.pipeline = std::make_shared<Pipeline>(),
              .source = assemble_source(kernel, variant, request.slabs, Dialect::kGlsl),
              .needs = needs_of(kernel, variant, request.slabs),
              .subgroup_size = required_subgroup(variant, context_->plan())};
  Pipeline& pipeline = *draft.pipeline;
  pipeline.context = context_;
  pipeline.name = qualified_name(kernel, variant);
  pipeline.bindings = binding_formats(kernel, variant, request.slabs);
  pipeline.params_bytes = draft.needs.params_bytes;
  pipeline.workgroup = variant.workgroup;
  require_fit(pipeline.name, draft.needs, context_->info());
  return draft;
}

void PipelineLibrary::finish(Draft& draft) {
  const std::vector<uint32_t> spirv = spirv_for(draft.source, draft.pipeline->name);
  draft.needs.workgroup_memory = workgroup_memory_bytes(spirv);
  require_fit(draft.pipeline->name, draft.needs, context_->info());
  create(*draft.pipeline, spirv, draft.subgroup_size);
}

std::vector<std::shared_ptr<const Pipeline>> PipelineLibrary::get(const std::vector<PipelineRequest>& requests,
                                                                  const std::function<void()>& between) {
  std::vector<std::shared_ptr<const Pipeline>> pipelines;
  std::vector<Draft> missing;
  for (const PipelineRequest& request : requests) {
    Draft made = draft(request);
    const auto known = by_source_.find(made.source);
    const bool is_there = known != by_source_.end() && known->second->name == made.pipeline->name;
    pipelines.push_back(is_there ? known->second : made.pipeline);
    if (!is_there) missing.push_back(std::move(made));
  }
  if (missing.empty()) return pipelines;
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> has_failed = false;  // then the others need not begin
  ThreadPool pool(std::min(missing.size(), usable_processors().usable));
  pool.parallel_for(missing.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end && !has_failed; ++i) {
      try {
        if (between && std::this_thread::get_id() == caller) between();
        finish(missing[i]);
      } catch (...) {
        has_failed = true;
        throw;
      }
    }
  });
  for (Draft& made : missing) by_source_[made.source] = made.pipeline;
  has_new_ = true;
  return pipelines;
}

std::vector<uint32_t> PipelineLibrary::spirv_for(const std::string& source, const std::string& name) {
  const std::string key = spirv_cache_key(source);
  const std::optional<std::vector<std::byte>> stored = files_.load(key);
  if (stored && !stored->empty() && stored->size() % 4 == 0) {
    std::vector<uint32_t> spirv(stored->size() / 4);
    std::memcpy(spirv.data(), stored->data(), stored->size());
    return spirv;
  }
  std::vector<uint32_t> spirv = compile_glsl(source, name);
  files_.store(key, std::as_bytes(std::span(spirv)));
  return spirv;
}

void PipelineLibrary::create_layouts(Pipeline& pipeline) {
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (const VkFormat format : pipeline.bindings) {
    bindings.push_back({.binding = static_cast<uint32_t>(bindings.size()),
                        .descriptorType = descriptor_type(format),
                        .descriptorCount = 1,
                        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                        .pImmutableSamplers = nullptr});
  }
  const VkDescriptorSetLayoutCreateInfo set_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                    .pNext = nullptr,
                                                    .flags = 0,
                                                    .bindingCount = static_cast<uint32_t>(bindings.size()),
                                                    .pBindings = bindings.data()};
  VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
  context_->check(context_->api().vkCreateDescriptorSetLayout(context_->device(), &set_info, nullptr, &set_layout),
                  "vkCreateDescriptorSetLayout");
  pipeline.set_layout = SetLayoutHandle(*context_, set_layout);

  const VkPushConstantRange params = {
      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .offset = 0, .size = pipeline.params_bytes};
  const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                           .pNext = nullptr,
                                           .flags = 0,
                                           .setLayoutCount = 1,
                                           .pSetLayouts = &set_layout,
                                           .pushConstantRangeCount = pipeline.params_bytes > 0 ? 1u : 0u,
                                           .pPushConstantRanges = &params};
  VkPipelineLayout layout = VK_NULL_HANDLE;
  context_->check(context_->api().vkCreatePipelineLayout(context_->device(), &info, nullptr, &layout),
                  "vkCreatePipelineLayout");
  pipeline.layout = PipelineLayoutHandle(*context_, layout);
}

void PipelineLibrary::create(Pipeline& pipeline, const std::vector<uint32_t>& spirv, uint32_t subgroup_size) {
  const DriverCall call(
      fmt::format("compiling kernel {} for {} ({})", pipeline.name, context_->info().id, context_->info().name));
  create_layouts(pipeline);
  const VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                .pNext = nullptr,
                                                .flags = 0,
                                                .codeSize = spirv.size() * 4,
                                                .pCode = spirv.data()};
  VkShaderModule shader = VK_NULL_HANDLE;
  context_->check(context_->api().vkCreateShaderModule(context_->device(), &module_info, nullptr, &shader),
                  "vkCreateShaderModule");
  const ShaderModuleHandle module(*context_, shader);
  const VkPipelineCreateFlags flags =
      context_->plan().keep_statistics ? VkPipelineCreateFlags{VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR} : 0;
  const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
      .pNext = nullptr,
      .requiredSubgroupSize = subgroup_size};
  const bool asks = subgroup_size != 0;
  // Smaller workgroups are one subgroup that is not full.
  const bool is_full = asks && pipeline.workgroup % subgroup_size == 0;
  const VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                            .pNext = nullptr,
                                            .flags = flags,
                                            .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                      .pNext = asks ? &subgroup : nullptr,
                                                      .flags = is_full ? kFullSubgroups : 0,
                                                      .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                      .module = shader,
                                                      .pName = "main",
                                                      .pSpecializationInfo = nullptr},
                                            .layout = pipeline.layout.get(),
                                            .basePipelineHandle = VK_NULL_HANDLE,
                                            .basePipelineIndex = -1};
  VkPipeline handle = VK_NULL_HANDLE;
  context_->check(
      context_->api().vkCreateComputePipelines(context_->device(), cache_.get(), 1, &info, nullptr, &handle),
      fmt::format("vkCreateComputePipelines for kernel {}", pipeline.name));
  pipeline.pipeline = PipelineHandle(*context_, handle);
}

void PipelineLibrary::save() {
  if (!has_new_) return;
  has_new_ = false;
  size_t bytes = 0;
  const VolkDeviceTable& api = context_->api();
  context_->check(api.vkGetPipelineCacheData(context_->device(), cache_.get(), &bytes, nullptr),
                  "vkGetPipelineCacheData");
  std::vector<std::byte> content(bytes);
  context_->check(api.vkGetPipelineCacheData(context_->device(), cache_.get(), &bytes, content.data()),
                  "vkGetPipelineCacheData");
  content.resize(bytes);
  files_.store(pipeline_cache_key(context_->plan().facts), content);
}

}  // namespace nibble::vulkan
