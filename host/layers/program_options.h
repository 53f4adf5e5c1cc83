// What the programs of a model are built for. Plain values.
#pragma once

#include <cstdint>

#include "host/checkpoint/config.h"
#include "host/kv/kv_options.h"

namespace nibble {

struct ProgramOptions {
  Numerics numerics = Numerics::kReference;
  // The indexer scores as many tokens at a time as fit so many bytes, one at least.
  uint64_t max_score_bytes = 32u << 20;
  bool all_logits = false;   // of every token of a step, not only of the last
  bool window_only = false;  // attend to no compressed entry: shows what they are worth
  bool mtp = false;          // the MTP block runs after the trunk
  bool capture = false;      // keep hidden streams and selections of the last token
};

// The most tokens that one step may have: kernels count the elements of an activation in 32 bits.
uint32_t longest_step(const ModelConfig& config, const ProgramOptions& options);
// Throws kUsage if a step of `tokens` would be longer.
void require_step_length(const ModelConfig& config, const ProgramOptions& options, uint32_t tokens);

}  // namespace nibble
