// From a DispatchList to what a RecordedProgram replays.
#pragma once

#include "runtime/vulkan/program.h"

namespace nibble::vulkan {

// Where a recording gets its things from.
struct RecordingTools {
  std::shared_ptr<Context> context;
  MemoryPool& memory;
  PipelineLibrary& pipelines;
  const DeviceOptions& options;
};

// Throws kInternal for lists that were not planned or hold buffers of another device, kUnsupported where a limit of the
// device is exceeded; the message names dispatch and kernel.
ProgramParts record_program(const RecordingTools& tools, const DispatchList& list);

}  // namespace nibble::vulkan
