// Where in a step's words the host puts what, and how it fills them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "host/checkpoint/config.h"
#include "host/layers/rope.h"
#include "runtime/core/step.h"

namespace nibble {

// Offsets in words. Rope rows are qk_rope_head_dim f32 each: interleaved cos, sin.
struct StepLayout {
  uint32_t max_tokens = 1;
  uint32_t tokens_at = 0;                        // [max_tokens] ids
  uint32_t rope_plain_at = 0;                    // [max_tokens] rows: layers without a compressor
  uint32_t rope_yarn_at = 0;                     // [max_tokens] rows: layers with one
  std::map<uint32_t, uint32_t> rope_entries_at;  // by ratio: rows of the entries a chunk completes
  uint32_t words = 0;

  StepLayout(const ModelConfig& config, uint32_t max_tokens);
  uint32_t rope_at(uint32_t ratio) const { return ratio == 0 ? rope_plain_at : rope_yarn_at; }
};

// Fills step blocks; keeps the rope tables of a model.
class StepWriter {
 public:
  explicit StepWriter(const ModelConfig& config);

  // The words of a step that feeds `tokens` at `position`; logits are wanted of the last `n_logits` tokens. The MTP
  // block is fed the tokens that follow those of its positions.
  std::vector<uint32_t> write(const StepLayout& layout, std::span<const uint32_t> tokens, uint32_t position,
                              uint32_t n_logits) const;

 private:
  RopeTable plain_;
  RopeTable yarn_;
};

}  // namespace nibble
