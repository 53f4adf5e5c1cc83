// The programs of a session: one dispatch list per chunk capacity, recorded once, replayed for every step.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "host/kv/kv_cache.h"
#include "host/layers/device_weights.h"
#include "host/layers/layers.h"
#include "host/layers/program_options.h"
#include "host/layers/step_layout.h"

namespace nibble {

// Where the tapped tensors of one layer lie, one row each: those of the last token.
struct CaptureViews {
  BufferView hidden;
  BufferView experts;
  BufferView expert_weights;
  BufferView index_ids;  // indexed layers only
};

// What a dispatch costs follows from these.
struct CostedDispatch {
  const KernelSpec* kernel = nullptr;
  std::vector<std::byte> params;
};

// The trunk or the MTP block, for chunks of up to `layout.max_tokens` tokens.
struct ModelProgram {
  StepLayout layout;
  uint32_t max_logits = 1;
  Stream stream;      // f32 [max_tokens, hc_mult, hidden_size], outside the arena: of the trunk, the MTP block reads it
  BufferView logits;  // f32 [max_logits, vocab]
  std::unique_ptr<Program> program;
  std::vector<CostedDispatch> dispatches;  // in order
  std::vector<CaptureViews> captures;      // of the trunk
  uint64_t scratch_bytes = 0;
};

// What programs are built from. The parts outlive the call; the cache's buffers live as long as the programs.
struct ProgramParts {
  Device& device;
  const ModelConfig& config;
  const DeviceWeights& weights;
  const KvCache& kv;
  ProgramOptions options;
};

// All layers and the head. Where the MTP block is run, the last token's stream is left in the cache.
std::unique_ptr<ModelProgram> build_trunk_program(const ProgramParts& parts, uint32_t max_tokens);
// The MTP block, for the positions of the first rows of `trunk`, a stream as trunk programs leave it. The tokens of its
// step are those that follow these positions.
std::unique_ptr<ModelProgram> build_mtp_program(const ProgramParts& parts, const Stream& trunk, uint32_t max_tokens);

}  // namespace nibble
