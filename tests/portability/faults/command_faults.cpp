// Faults of a driver outside its compiler: recording, descriptors, submission, and processes that end or hang.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <map>
#include <utility>

#include "tests/portability/faults/fault.h"

namespace nibble::faults {
namespace {

// A barrier is missing, and two dispatches overlap in the worst way: the second of them ends first.
class BarrierLost final : public Fault {
 public:
  bool keeps_barrier(VkCommandBuffer) override { return false; }
  void record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) override {
    const auto held = held_.find(commands);
    if (held == held_.end()) {
      held_[commands] = call;
      return;
    }
    record_call(next, commands, call);
    record_call(next, commands, held->second);
    held_.erase(held);
  }
  void end_commands(const NextLayer& next, VkCommandBuffer commands) override {
    const auto held = held_.find(commands);
    if (held == held_.end()) return;
    record_call(next, commands, held->second);
    held_.erase(held);
  }

 private:
  std::map<VkCommandBuffer, DispatchCall> held_;
};

// Long grids lose their last workgroup.
class LastWorkgroupSkipped final : public Fault {
 public:
  void record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) override {
    DispatchCall shorter = call;
    if (shorter.indirect == VK_NULL_HANDLE && shorter.x > 40) --shorter.x;
    record_call(next, commands, shorter);
  }
};

// The third dimension of a grid is taken for 1.
class GridFlattened final : public Fault {
 public:
  void record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) override {
    DispatchCall flat = call;
    flat.z = 1;
    record_call(next, commands, flat);
  }
};

// Pushes after the first of a command buffer are forgotten if they are as long as the one before.
class PushStale final : public Fault {
 public:
  bool keeps_push(VkCommandBuffer commands, std::span<const std::byte> bytes) override {
    const size_t before = std::exchange(pushed_[commands], bytes.size());
    return before != bytes.size();
  }
  void end_commands(const NextLayer&, VkCommandBuffer commands) override { pushed_.erase(commands); }

 private:
  std::map<VkCommandBuffer, size_t> pushed_;
};

// Only the first 16 bytes of params arrive.
class PushTruncated final : public Fault {
 public:
  void record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) override {
    DispatchCall cut = call;
    for (size_t i = 16; i < cut.params.size(); ++i) cut.params[i] = std::byte{0};
    record_call(next, commands, cut);
  }
};

class DescriptorOffsetCoarse final : public Fault {
 public:
  void edit_descriptor(VkDescriptorBufferInfo& info) override { info.offset = info.offset / 256 * 256; }
};

// As where an offset goes through a signed 32-bit number of bytes, at half of that: no buffer here has 2 GiB to spare.
class DescriptorOffsetWraps final : public Fault {
 public:
  void edit_descriptor(VkDescriptorBufferInfo& info) override { info.offset %= VkDeviceSize{1} << 30; }
};

// Ranges are announced to be 128 MiB and end at 64 KiB.
class RangeLimitLies final : public Fault {
 public:
  void edit_descriptor(VkDescriptorBufferInfo& info) override {
    if (info.range != VK_WHOLE_SIZE) info.range = std::min<VkDeviceSize>(info.range, 64 << 10);
  }
};

class TexelOffsetIgnored final : public Fault {
 public:
  void edit_texel_view(VkBufferViewCreateInfo& info) override { info.offset = 0; }
};

class CopyLosesTail final : public Fault {
 public:
  VkDeviceSize copied_bytes(VkDeviceSize bytes) override { return bytes > 4096 ? bytes - 4 : bytes; }
};

class FillLosesTail final : public Fault {
 public:
  VkDeviceSize filled_bytes(VkDeviceSize bytes) override { return bytes > 4 ? bytes - 4 : bytes; }
};

// An indirect grid is read at the first submission and never again.
class IndirectGridStale final : public Fault {
 public:
  void record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) override {
    if (call.indirect != VK_NULL_HANDLE) grids_[commands].push_back({call.indirect, call.indirect_offset, {}, false});
    record_call(next, commands, call);
  }
  void buffer_at(VkBuffer buffer, std::byte* address) override { addresses_[buffer] = address; }
  VkResult before_submit(const NextLayer&, std::span<const VkCommandBuffer> commands) override {
    for (const VkCommandBuffer c : commands) {
      for (Grid& grid : grids_[c]) {
        const auto address = addresses_.find(grid.buffer);
        if (address == addresses_.end()) continue;
        std::byte* words = address->second + grid.offset;
        if (grid.is_known) {
          std::memcpy(words, grid.words, sizeof grid.words);
        } else {
          std::memcpy(grid.words, words, sizeof grid.words);
          grid.is_known = true;
        }
      }
    }
    return VK_SUCCESS;
  }

 private:
  struct Grid {
    VkBuffer buffer;
    VkDeviceSize offset;
    uint32_t words[3];
    bool is_known;
  };
  std::map<VkCommandBuffer, std::vector<Grid>> grids_;
  std::map<VkBuffer, std::byte*> addresses_;
};

// One submission in a thousand ends with a word of the buffer bound last changed.
class FlakyWord final : public Fault {
 public:
  void edit_descriptor(VkDescriptorBufferInfo& info) override {
    if (info.range != VK_WHOLE_SIZE) last_ = info;
  }
  void buffer_at(VkBuffer buffer, std::byte* address) override { addresses_[buffer] = address; }
  void after_submit(const NextLayer& next, VkQueue queue) override {
    if (++submissions_ % 997 != 0) return;
    const auto address = addresses_.find(last_.buffer);
    if (address == addresses_.end()) return;
    next.queue_wait_idle(queue);
    std::byte* word = address->second + last_.offset + last_.range / 8 * 4;
    *word ^= std::byte{1};
  }

 private:
  VkDescriptorBufferInfo last_{};
  std::map<VkBuffer, std::byte*> addresses_;
  size_t submissions_ = 0;
};

class CrashInPipeline final : public Fault {
 public:
  VkResult before_pipeline(const Module& module) override {
    // Again and again, as an instruction would: handlers of other drivers in the process return once and rely on that.
    while (module.has(kOpGroupNonUniformFAdd)) std::raise(SIGSEGV);
    return VK_SUCCESS;
  }
};

// Workgroup memory is announced that pipelines then do not get.
class PipelineFails final : public Fault {
 public:
  VkResult before_pipeline(const Module& module) override {
    return module.has(kOpAtomicIAdd) ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_SUCCESS;
  }
};

// Subgroups of half and of twice the size are announced; kernels that ask for them get the usual ones.
class SubgroupSizeIgnored final : public Fault {
 public:
  void edit_subgroup_sizes(VkPhysicalDeviceSubgroupSizeControlProperties& sizes) override {
    sizes.minSubgroupSize /= 2;
    sizes.maxSubgroupSize *= 2;
  }
  void edit_stage(VkPipelineShaderStageCreateInfo& stage) override {
    stage.pNext = nullptr;
    stage.flags = 0;
  }
};

// Something happens to submissions with kernels of atomic operations.
class AtomicsFault : public Fault {
 public:
  VkResult before_pipeline(const Module& module) override {
    armed_ = armed_ || module.has(kOpAtomicIAdd);
    return VK_SUCCESS;
  }

 protected:
  bool armed_ = false;
};

class HangInWait final : public AtomicsFault {
 public:
  void before_wait() override {
    while (armed_) ::sleep(1);
  }
};

class DeviceLost final : public AtomicsFault {
 public:
  VkResult before_submit(const NextLayer&, std::span<const VkCommandBuffer>) override {
    return armed_ && ++submissions_ > 1 ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
  }

 private:
  size_t submissions_ = 0;
};

class DeviceLostLate final : public Fault {
 public:
  VkResult before_submit(const NextLayer&, std::span<const VkCommandBuffer>) override {
    return ++submissions_ > 2000 ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
  }

 private:
  size_t submissions_ = 0;
};

template <typename F>
std::unique_ptr<Fault> make() {
  return std::make_unique<F>();
}

struct Named {
  std::string_view name;
  std::unique_ptr<Fault> (*make)();
};

constexpr Named kFaults[] = {
    {"barrier_lost", make<BarrierLost>},
    {"last_workgroup_skipped", make<LastWorkgroupSkipped>},
    {"grid_flattened", make<GridFlattened>},
    {"push_stale", make<PushStale>},
    {"push_truncated", make<PushTruncated>},
    {"descriptor_offset_coarse", make<DescriptorOffsetCoarse>},
    {"descriptor_offset_wraps", make<DescriptorOffsetWraps>},
    {"range_limit_lies", make<RangeLimitLies>},
    {"texel_offset_ignored", make<TexelOffsetIgnored>},
    {"copy_loses_tail", make<CopyLosesTail>},
    {"fill_loses_tail", make<FillLosesTail>},
    {"indirect_grid_stale", make<IndirectGridStale>},
    {"flaky_word", make<FlakyWord>},
    {"crash_in_pipeline", make<CrashInPipeline>},
    {"pipeline_fails", make<PipelineFails>},
    {"subgroup_size_ignored", make<SubgroupSizeIgnored>},
    {"hang_in_wait", make<HangInWait>},
    {"device_lost", make<DeviceLost>},
    {"device_lost_late", make<DeviceLostLate>},
};

}  // namespace

void record_call(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) {
  next.bind_pipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, call.pipeline);
  next.bind_descriptor_sets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, call.layout, 0, 1, &call.set, 0, nullptr);
  if (!call.params.empty()) {
    next.push_constants(commands, call.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                        static_cast<uint32_t>(call.params.size()), call.params.data());
  }
  if (call.indirect == VK_NULL_HANDLE) {
    next.dispatch(commands, call.x, call.y, call.z);
  } else {
    next.dispatch_indirect(commands, call.indirect, call.indirect_offset);
  }
}

void Fault::record_dispatch(const NextLayer& next, VkCommandBuffer commands, const DispatchCall& call) {
  record_call(next, commands, call);
}

std::unique_ptr<Fault> make_command_fault(std::string_view name) {
  for (const Named& fault : kFaults) {
    if (fault.name == name) return fault.make();
  }
  return nullptr;
}

std::unique_ptr<Fault> make_fault(std::string_view name) {
  if (name.empty()) return std::make_unique<Fault>();
  std::unique_ptr<Fault> fault = make_spirv_fault(name);
  return fault != nullptr ? std::move(fault) : make_command_fault(name);
}

}  // namespace nibble::faults
