// RecordedProgram: command buffers with all that they need. Per replay the host writes step words and grids, nothing
// else. Shared by the Program in the caller's hands and the device while a replay runs, so neither can pull it from
// under a driver.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/vulkan/commands.h"
#include "runtime/vulkan/memory.h"
#include "runtime/vulkan/pipelines.h"
#include "runtime/vulkan/submission_pacer.h"

namespace nibble::vulkan {

// What a command buffer holds of one dispatch.
struct RecordedDispatch {
  std::shared_ptr<const Pipeline> pipeline;
  VkDescriptorSet set = VK_NULL_HANDLE;
  std::vector<std::byte> params;
  Grid grid;
  std::string label;
  bool barrier_before = false;
};

// What recorder.h builds. Members are destroyed from the last to the first.
struct ProgramParts {
  std::shared_ptr<Context> context;
  std::vector<std::shared_ptr<Buffer>> buffers;  // kept alive for the recorded commands
  std::shared_ptr<VulkanBuffer> step;            // mapped: the step words
  std::shared_ptr<VulkanBuffer> grids;           // mapped: one VkDispatchIndirectCommand per dispatch
  uint32_t step_words = 0;
  std::vector<BufferViewHandle> texel_views;
  DescriptorPoolHandle descriptors;
  std::vector<RecordedDispatch> dispatches;
  CommandPoolHandle command_pool;
  std::vector<VkCommandBuffer> segments;
  VkCommandBuffer timing_commands = VK_NULL_HANDLE;
  FenceHandle fence;
};

// Barrier, state and dispatch `index`; grids that depend on the step are read from parts.grids.
void record_dispatch(const ProgramParts& parts, size_t index, VkCommandBuffer commands);

class RecordedProgram {
 public:
  RecordedProgram(ProgramParts parts, double submit_seconds);
  ~RecordedProgram();
  RecordedProgram(const RecordedProgram&) = delete;
  RecordedProgram& operator=(const RecordedProgram&) = delete;

  std::vector<std::string> variants() const;

  const Context* context() const { return parts_.context.get(); }
  // Starts a replay; one that is still running is waited for, since both share step words and grids.
  void start(std::span<const uint32_t> step);
  // Waits until the replay has finished; returns at once if none runs.
  void finish();

  // Runs every dispatch by itself.
  std::vector<DispatchTiming> time(std::span<const uint32_t> step);

 private:
  using Clock = std::chrono::steady_clock;

  StepHeader write_step(std::span<const uint32_t> step);
  void write_grid(size_t index, const StepHeader& step);
  // Up to each of `ends` in a submission of its own. Where one fails, none is left running.
  void submit_segments(std::span<const size_t> ends);
  void run_calibrating(uint32_t n_tokens);
  double time_dispatch(size_t index, VkQueryPool timestamps);
  QueryPoolHandle make_timestamps();

  ProgramParts parts_;
  SubmissionPacer pacer_;
  bool running_ = false;
  Clock::time_point started_;
  uint32_t running_tokens_ = 0;
};

}  // namespace nibble::vulkan
