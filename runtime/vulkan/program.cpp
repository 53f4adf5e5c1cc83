#include "runtime/vulkan/program.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/base/error.h"

namespace nibble::vulkan {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

constexpr uint64_t kGridBytes = sizeof(VkDispatchIndirectCommand);

}  // namespace

void record_dispatch(const ProgramParts& parts, size_t index, VkCommandBuffer commands) {
  const VolkDeviceTable& api = parts.context->api();
  const RecordedDispatch& dispatch = parts.dispatches[index];
  const Pipeline& pipeline = *dispatch.pipeline;
  if (dispatch.barrier_before) memory_barrier(*parts.context, commands, kComputeAll, kComputeAll);
  api.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.pipeline.get());
  api.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout.get(), 0, 1, &dispatch.set, 0,
                              nullptr);
  if (!dispatch.params.empty()) {
    api.vkCmdPushConstants(commands, pipeline.layout.get(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           static_cast<uint32_t>(dispatch.params.size()), dispatch.params.data());
  }
  if (dispatch.grid.is_constant()) {
    const Grid& grid = dispatch.grid;
    api.vkCmdDispatch(commands, grid.x.scale, grid.y.scale, grid.z.scale);
  } else {
    api.vkCmdDispatchIndirect(commands, parts.grids->handle(), index * kGridBytes);
  }
}

RecordedProgram::RecordedProgram(ProgramParts parts, double submit_seconds)
    : parts_(std::move(parts)), pacer_(parts_.segments.size(), submit_seconds) {}

RecordedProgram::~RecordedProgram() {
  if (!running_ || parts_.context->is_lost()) return;
  const VkFence fence = parts_.fence.get();
  parts_.context->api().vkWaitForFences(parts_.context->device(), 1, &fence, VK_TRUE, ~uint64_t{0});
}

std::vector<std::string> RecordedProgram::variants() const {
  std::vector<std::string> names;
  for (const RecordedDispatch& dispatch : parts_.dispatches) names.push_back(dispatch.pipeline->name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

StepHeader RecordedProgram::write_step(std::span<const uint32_t> step) {
  check(step.size() <= parts_.step_words, "step of {} words, the program was recorded for {}", step.size(),
        parts_.step_words);
  const StepHeader header = read_step_header(step);
  for (size_t i = 0; i < parts_.dispatches.size(); ++i) write_grid(i, header);
  if (!step.empty()) std::memcpy(parts_.step->mapped(), step.data(), step.size_bytes());
  return header;
}

void RecordedProgram::write_grid(size_t index, const StepHeader& step) {
  const RecordedDispatch& dispatch = parts_.dispatches[index];
  if (dispatch.grid.is_constant()) return;
  const VkDispatchIndirectCommand workgroups = {
      .x = dispatch.grid.x.evaluate(step), .y = dispatch.grid.y.evaluate(step), .z = dispatch.grid.z.evaluate(step)};
  const DeviceInfo& device = parts_.context->info();
  const std::array<uint32_t, 3>& most = device.limits.max_workgroup_count;
  if (workgroups.x > most[0] || workgroups.y > most[1] || workgroups.z > most[2]) {
    fail(ErrorCode::kUnsupported, "'{}' ({}): {}x{}x{} workgroups, device '{}' allows {}x{}x{}", dispatch.label,
         dispatch.pipeline->name, workgroups.x, workgroups.y, workgroups.z, device.name, most[0], most[1], most[2]);
  }
  std::memcpy(parts_.grids->mapped() + index * kGridBytes, &workgroups, sizeof workgroups);
}

void RecordedProgram::start(std::span<const uint32_t> step) {
  finish();
  const StepHeader header = write_step(step);
  if (parts_.segments.empty()) return;
  if (pacer_.is_calibrating()) return run_calibrating(header.n_tokens);
  started_ = Clock::now();
  running_tokens_ = header.n_tokens;
  submit_segments(pacer_.cut(header.n_tokens));
  running_ = true;
}

void RecordedProgram::submit_segments(std::span<const size_t> ends) {
  Context& context = *parts_.context;
  size_t begin = 0;
  try {
    for (const size_t end : ends) {
      const bool is_last = end == parts_.segments.size();
      submit_commands(context, std::span(parts_.segments).subspan(begin, end - begin),
                      is_last ? parts_.fence.get() : VK_NULL_HANDLE);
      begin = end;
    }
  } catch (const Error&) {
    // The fence goes with the last submission: nothing else would tell that the earlier ones have ended.
    if (begin > 0 && !context.is_lost()) context.api().vkQueueWaitIdle(context.queue());
    throw;
  }
}

void RecordedProgram::run_calibrating(uint32_t n_tokens) {
  for (size_t i = 0; i < parts_.segments.size(); ++i) {
    const Clock::time_point start = Clock::now();
    submit_commands(*parts_.context, {&parts_.segments[i], 1}, parts_.fence.get());
    wait_and_reset(*parts_.context, parts_.fence.get());
    pacer_.measured_segment(i, seconds_since(start));
  }
  pacer_.end_calibration(n_tokens);
}

void RecordedProgram::finish() {
  if (!running_) return;
  Context& context = *parts_.context;
  // A replay that had ended before anyone looked tells nothing about its time.
  const bool was_running = context.api().vkGetFenceStatus(context.device(), parts_.fence.get()) == VK_NOT_READY;
  wait_and_reset(context, parts_.fence.get());
  running_ = false;
  if (was_running) pacer_.measured_replay(seconds_since(started_), running_tokens_);
}

}  // namespace nibble::vulkan
