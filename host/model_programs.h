// The programs of a session: one dispatch list per chunk capacity, recorded once, replayed for every step.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "host/device_weights.h"
#include "host/kv_cache.h"
#include "host/layers/layers.h"
#include "host/session.h"
#include "host/step_layout.h"

namespace nibble {

// Where the tapped tensors of one layer lie, one row each: those of the last token.
struct CaptureViews {
  BufferView hidden;
  BufferView experts;
  BufferView expert_weights;
  BufferView index_ids;  // ratio 4 only
};

// What a dispatch of the trunk costs follows from these.
struct RecordedDispatch {
  const KernelSpec* kernel = nullptr;
  std::vector<std::byte> params;
};

// The trunk (and the MTP block) for chunks of up to `layout.max_tokens` tokens.
struct ModelProgram {
  StepLayout layout;
  uint32_t max_logits = 1;
  BufferView logits;  // f32 [max_logits, vocab]
  std::unique_ptr<Program> trunk;
  std::vector<RecordedDispatch> dispatches;  // of the trunk, in order
  BufferView mtp_logits;                     // f32 [1, vocab]
  std::unique_ptr<Program> mtp;              // reads the trunk's stream, which therefore lives outside the arena
  std::vector<CaptureViews> captures;
  uint64_t scratch_bytes = 0;
};

std::unique_ptr<ModelProgram> build_program(Device& device, const ModelConfig& config, const DeviceWeights& weights,
                                            const KvCache& kv, const SessionOptions& options, uint32_t max_tokens);

}  // namespace nibble
