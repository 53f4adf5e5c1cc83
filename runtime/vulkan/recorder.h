// From a DispatchList to what a RecordedProgram replays.
#pragma once

#include <algorithm>

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

// A descriptor's range: whole words, so that the last of 5 bytes can be read (buffers are padded to 16).
inline uint64_t descriptor_range(uint64_t view_bytes) { return std::max<uint64_t>(4, (view_bytes + 3) / 4 * 4); }
// That of a texel view: whole texels.
inline uint64_t texel_range(uint64_t range) { return (range + 15) / 16 * 16; }

}  // namespace nibble::vulkan
