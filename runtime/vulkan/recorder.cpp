#include "runtime/vulkan/recorder.h"

#include <algorithm>
#include <map>

#include "runtime/base/error.h"
#include "runtime/core/hazards.h"
#include "runtime/core/replay_order.h"
#include "runtime/core/variant.h"

namespace nibble::vulkan {
namespace {

// Dispatches per command buffer, the smallest piece that can be submitted: at 25 ms each (a large prefill matrix on a
// slow device) eight take the default budget of 0.2 s; at 5 us each the cost of a command buffer is still small.
constexpr size_t kDispatchesPerSegment = 8;

const VulkanBuffer& own_buffer(const BufferView& view, const Context& context, const Dispatch& dispatch) {
  const auto* buffer = dynamic_cast<const VulkanBuffer*>(view.buffer.get());
  check(buffer != nullptr && buffer->context() == &context,
        "'{}' ({}): buffer '{}' is not of this device, or the list was not planned", dispatch.label,
        dispatch.kernel->name, view.buffer ? view.buffer->label() : "(none)");
  return *buffer;
}

VkDescriptorBufferInfo describe_view(const BufferView& view, const Context& context, const Dispatch& dispatch) {
  const VulkanBuffer& buffer = own_buffer(view, context, dispatch);
  const DeviceLimits& limits = context.info().limits;
  check(view.offset % limits.offset_alignment == 0,
        "'{}' ({}): view of '{}' begins at byte {}, expected a multiple of {}", dispatch.label, dispatch.kernel->name,
        buffer.label(), view.offset, limits.offset_alignment);
  if (view.bytes > limits.max_range) {
    fail(ErrorCode::kUnsupported, "'{}' ({}): view of '{}' has {} bytes, device '{}' allows {} in one binding",
         dispatch.label, dispatch.kernel->name, buffer.label(), view.bytes, context.info().name, limits.max_range);
  }
  return {.buffer = buffer.handle(), .offset = view.offset, .range = descriptor_range(view.bytes)};
}

class Recorder {
 public:
  Recorder(const RecordingTools& tools, const DispatchList& list) : tools_(tools), list_(list) {}

  ProgramParts run() {
    parts_.context = tools_.context;
    parts_.step_words = std::max(list_.step_words(), kStepHeaderWords);
    parts_.step = tools_.memory.allocate(parts_.step_words * 4, "step words", MemoryUse::kHost);
    collect_dispatches();
    const auto pipelines = tools_.pipelines.get(requests_, tools_.options.between_kernels);
    for (size_t i = 0; i < parts_.dispatches.size(); ++i) {
      parts_.dispatches[i].pipeline = pipelines[request_of_dispatch_[i]];
    }
    const uint64_t grids = std::max<uint64_t>(1, parts_.dispatches.size());
    parts_.grids = tools_.memory.allocate(grids * sizeof(VkDispatchIndirectCommand), "grids", MemoryUse::kHost);
    create_descriptor_pool();
    for (size_t i = 0; i < parts_.dispatches.size(); ++i) write_descriptors(i);
    record_segments();
    return std::move(parts_);
  }

 private:
  void collect_dispatches() {
    const std::vector<bool> barriers = barriers_before(list_);
    // Every list gets an order of its own, and gets it again in the next run.
    const std::vector<ReplayStep> order = tools_.options.shuffle_spans
                                              ? shuffled_replay_order(barriers, tools_.options.shuffle_seed)
                                              : replay_order(barriers);
    bool barrier_due = false;
    for (const ReplayStep& step : order) {
      const Dispatch& dispatch = list_.dispatches()[step.dispatch];
      barrier_due = barrier_due || step.barrier_before;
      if (!add_dispatch(dispatch, barrier_due)) continue;
      sources_.push_back(&dispatch);
      barrier_due = false;
    }
  }

  // False if the dispatch has no workgroups at any step.
  bool add_dispatch(const Dispatch& dispatch, bool barrier_before) {
    const KernelSpec& kernel = *dispatch.kernel;
    const DeviceInfo& device = tools_.context->info();
    const Variant& variant = pick_variant(dispatch, device, tools_.options.force_variant);
    const Grid grid = kernel.grid(dispatch.params, variant);
    if (grid.is_constant() && (grid.x.scale == 0 || grid.y.scale == 0 || grid.z.scale == 0)) return false;
    const std::array<uint32_t, 3>& most = device.limits.max_workgroup_count;
    if (grid.is_constant() && (grid.x.scale > most[0] || grid.y.scale > most[1] || grid.z.scale > most[2])) {
      fail(ErrorCode::kUnsupported, "'{}' ({}): {}x{}x{} workgroups, device '{}' allows {}x{}x{}", dispatch.label,
           kernel.name, grid.x.scale, grid.y.scale, grid.z.scale, device.name, most[0], most[1], most[2]);
    }
    request_of_dispatch_.push_back(request_number({&kernel, &variant, slab_shapes(dispatch)}));
    parts_.dispatches.push_back({.pipeline = nullptr,
                                 .params = dispatch.params,
                                 .grid = grid,
                                 .label = dispatch.label,
                                 .barrier_before = barrier_before});
    return true;
  }

  size_t request_number(const PipelineRequest& request) {
    const auto [at, is_new] = request_numbers_.try_emplace(request, requests_.size());
    if (is_new) requests_.push_back(request);
    return at->second;
  }

  void create_descriptor_pool() {
    std::array<VkDescriptorPoolSize, 2> sizes = {
        {{.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 1},
         {.type = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, .descriptorCount = 1}}};
    for (const RecordedDispatch& dispatch : parts_.dispatches) {
      for (const VkFormat format : dispatch.pipeline->bindings) {
        ++sizes[format == VK_FORMAT_UNDEFINED ? 0 : 1].descriptorCount;
      }
    }
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .pNext = nullptr,
                                             .flags = 0,
                                             .maxSets = std::max(1u, static_cast<uint32_t>(parts_.dispatches.size())),
                                             .poolSizeCount = static_cast<uint32_t>(sizes.size()),
                                             .pPoolSizes = sizes.data()};
    Context& context = *tools_.context;
    VkDescriptorPool pool = VK_NULL_HANDLE;
    context.check(context.api().vkCreateDescriptorPool(context.device(), &info, nullptr, &pool),
                  "vkCreateDescriptorPool");
    parts_.descriptors = DescriptorPoolHandle(context, pool);
  }

  // The buffers of a dispatch in binding order, slabs one after the other.
  std::vector<VkDescriptorBufferInfo> describe_bindings(const Dispatch& dispatch) {
    std::vector<VkDescriptorBufferInfo> infos;
    size_t next = 0;
    for (const BindingSpec& spec : dispatch.kernel->bindings) {
      if (spec.kind == BindingKind::kStep) {
        infos.push_back({.buffer = parts_.step->handle(), .offset = 0, .range = VK_WHOLE_SIZE});
        continue;
      }
      for (const BufferView& view : dispatch.bindings[next++].views) {
        infos.push_back(describe_view(view, *tools_.context, dispatch));
        parts_.buffers.push_back(view.buffer);
      }
    }
    return infos;
  }

  VkBufferView make_texel_view(const VkDescriptorBufferInfo& piece, VkFormat format) {
    const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                         .pNext = nullptr,
                                         .flags = 0,
                                         .buffer = piece.buffer,
                                         .format = format,
                                         .offset = piece.offset,
                                         .range = texel_range(piece.range)};
    Context& context = *tools_.context;
    VkBufferView view = VK_NULL_HANDLE;
    context.check(context.api().vkCreateBufferView(context.device(), &info, nullptr, &view), "vkCreateBufferView");
    parts_.texel_views.emplace_back(context, view);
    return view;
  }

  void write_descriptors(size_t index) {
    RecordedDispatch& dispatch = parts_.dispatches[index];
    Context& context = *tools_.context;
    const VkDescriptorSetLayout layout = dispatch.pipeline->set_layout.get();
    const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                              .pNext = nullptr,
                                              .descriptorPool = parts_.descriptors.get(),
                                              .descriptorSetCount = 1,
                                              .pSetLayouts = &layout};
    context.check(context.api().vkAllocateDescriptorSets(context.device(), &info, &dispatch.set),
                  "vkAllocateDescriptorSets");
    const std::vector<VkDescriptorBufferInfo> infos = describe_bindings(*sources_[index]);
    const std::vector<VkFormat>& formats = dispatch.pipeline->bindings;
    check(infos.size() == formats.size(), "'{}' ({}): {} buffers bound, expected {}", dispatch.label,
          dispatch.pipeline->name, infos.size(), formats.size());
    std::vector<VkBufferView> views(infos.size(), VK_NULL_HANDLE);
    for (size_t i = 0; i < infos.size(); ++i) {
      if (formats[i] != VK_FORMAT_UNDEFINED) views[i] = make_texel_view(infos[i], formats[i]);
    }
    std::vector<VkWriteDescriptorSet> writes;
    for (uint32_t i = 0; i < infos.size(); ++i) {
      writes.push_back({.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                        .pNext = nullptr,
                        .dstSet = dispatch.set,
                        .dstBinding = i,
                        .dstArrayElement = 0,
                        .descriptorCount = 1,
                        .descriptorType = descriptor_type(formats[i]),
                        .pImageInfo = nullptr,
                        .pBufferInfo = &infos[i],
                        .pTexelBufferView = &views[i]});
    }
    context.api().vkUpdateDescriptorSets(context.device(), static_cast<uint32_t>(writes.size()), writes.data(), 0,
                                         nullptr);
  }

  void record_segments() {
    Context& context = *tools_.context;
    parts_.command_pool = make_command_pool(context);
    parts_.fence = make_fence(context);
    const size_t count = parts_.dispatches.size();
    const size_t segments = (count + kDispatchesPerSegment - 1) / kDispatchesPerSegment;
    parts_.segments = allocate_commands(context, parts_.command_pool.get(), static_cast<uint32_t>(segments));
    parts_.timing_commands = allocate_commands(context, parts_.command_pool.get(), 1).front();
    for (size_t s = 0; s < segments; ++s) {
      const VkCommandBuffer commands = parts_.segments[s];
      begin_commands(context, commands, 0);
      // Barriers reach across command buffers of one queue, so a program orders itself after all that came before it.
      if (s == 0) memory_barrier(context, commands, kComputeAll | kTransferAll, kComputeAll);
      const size_t end = std::min(count, (s + 1) * kDispatchesPerSegment);
      for (size_t i = s * kDispatchesPerSegment; i < end; ++i) record_dispatch(parts_, i, commands);
      if (end == count) memory_barrier(context, commands, kComputeWrites, kHostReads);
      end_commands(context, commands);
    }
  }

  const RecordingTools& tools_;
  const DispatchList& list_;
  ProgramParts parts_;
  std::vector<const Dispatch*> sources_;  // of parts_.dispatches
  // A program has a thousand dispatches and twenty pipelines.
  std::vector<PipelineRequest> requests_;
  std::map<PipelineRequest, size_t> request_numbers_;
  std::vector<size_t> request_of_dispatch_;  // of parts_.dispatches
};

}  // namespace

ProgramParts record_program(const RecordingTools& tools, const DispatchList& list) {
  return Recorder(tools, list).run();
}

}  // namespace nibble::vulkan
