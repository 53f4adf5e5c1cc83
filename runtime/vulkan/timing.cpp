// RecordedProgram::time(): each dispatch in a submission of its own.
#include "runtime/base/error.h"
#include "runtime/vulkan/program.h"

namespace nibble::vulkan {

QueryPoolHandle RecordedProgram::make_timestamps() {
  Context& context = *parts_.context;
  if (context.plan().timestamp_mask == 0) return {};
  const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                      .pNext = nullptr,
                                      .flags = 0,
                                      .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                      .queryCount = 2,
                                      .pipelineStatistics = 0};
  VkQueryPool pool = VK_NULL_HANDLE;
  context.check(context.api().vkCreateQueryPool(context.device(), &info, nullptr, &pool), "vkCreateQueryPool");
  return {context, pool};
}

double RecordedProgram::time_dispatch(size_t index, VkQueryPool timestamps) {
  Context& context = *parts_.context;
  const VolkDeviceTable& api = context.api();
  const VkCommandBuffer commands = parts_.timing_commands;
  begin_commands(context, commands, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT);
  memory_barrier(context, commands, kComputeAll | kTransferAll, kComputeAll);
  if (timestamps != VK_NULL_HANDLE) {
    api.vkCmdResetQueryPool(commands, timestamps, 0, 2);
    api.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, timestamps, 0);
  }
  record_dispatch(parts_, index, commands);
  if (timestamps != VK_NULL_HANDLE) {
    api.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, timestamps, 1);
  }
  memory_barrier(context, commands, kComputeWrites, kHostReads);
  end_commands(context, commands);

  const Clock::time_point start = Clock::now();
  submit_commands(context, {&commands, 1}, parts_.fence.get());
  wait_and_reset(context, parts_.fence.get());
  const double wall_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (timestamps == VK_NULL_HANDLE) return wall_seconds;
  uint64_t ticks[2] = {};
  context.check(api.vkGetQueryPoolResults(context.device(), timestamps, 0, 2, sizeof ticks, ticks, sizeof ticks[0],
                                          VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                "vkGetQueryPoolResults");
  const uint64_t elapsed = (ticks[1] - ticks[0]) & context.plan().timestamp_mask;
  return static_cast<double>(elapsed) * context.plan().seconds_per_tick;
}

std::vector<DispatchTiming> RecordedProgram::time(std::span<const uint32_t> step) {
  finish();
  write_step(step);
  const QueryPoolHandle timestamps = make_timestamps();
  std::vector<DispatchTiming> timings;
  for (size_t i = 0; i < parts_.dispatches.size(); ++i) {
    timings.push_back({.label = parts_.dispatches[i].label,
                       .kernel = parts_.dispatches[i].pipeline->name,
                       .seconds = time_dispatch(i, timestamps.get())});
  }
  return timings;
}

}  // namespace nibble::vulkan
