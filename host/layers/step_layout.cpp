#include "host/layers/step_layout.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/error.h"

namespace nibble {
namespace {

Yarn yarn_of(const ModelConfig& config) {
  return {.factor = config.yarn.factor,
          .original_length = static_cast<double>(config.yarn.original_max_position_embeddings),
          .beta_fast = config.yarn.beta_fast,
          .beta_slow = config.yarn.beta_slow};
}

void write_row(const RopeTable& table, uint32_t position, uint32_t* words) {
  std::vector<float> row(table.rope_dims());
  table.row(position, row.data());
  std::memcpy(words, row.data(), row.size() * sizeof(float));
}

}  // namespace

StepLayout::StepLayout(const ModelConfig& config, uint32_t tokens) : max_tokens(tokens) {
  const uint32_t rope = config.qk_rope_head_dim;
  tokens_at = kStepHeaderWords;
  rope_plain_at = tokens_at + max_tokens;
  rope_yarn_at = rope_plain_at + max_tokens * rope;
  words = rope_yarn_at + max_tokens * rope;
  for (const uint32_t ratio : config.compress_ratios) {
    if (ratio == 0 || rope_entries_at.contains(ratio)) continue;
    rope_entries_at[ratio] = words;
    words += (max_tokens / ratio + 1) * rope;
  }
}

StepWriter::StepWriter(const ModelConfig& config)
    : plain_(config.qk_rope_head_dim, config.rope_theta),
      yarn_(config.qk_rope_head_dim, config.compress_rope_theta, yarn_of(config)) {}

std::vector<uint32_t> StepWriter::write(const StepLayout& layout, std::span<const uint32_t> tokens, uint32_t position,
                                        uint32_t n_logits) const {
  const auto count = static_cast<uint32_t>(tokens.size());
  check(count <= layout.max_tokens, "a step of {} tokens for a program of {}", count, layout.max_tokens);
  std::vector<uint32_t> words(layout.words, 0);
  words[kStepTokens] = count;
  words[kStepPosition] = position;
  words[kStepLogits] = n_logits;
  words[kStepLogitsFirst] = count - n_logits;
  std::copy(tokens.begin(), tokens.end(), words.begin() + layout.tokens_at);
  const uint32_t rope = plain_.rope_dims();
  for (uint32_t t = 0; t < count; ++t) {
    write_row(plain_, position + t, &words[layout.rope_plain_at + t * rope]);
    write_row(yarn_, position + t, &words[layout.rope_yarn_at + t * rope]);
  }
  for (const auto& [ratio, at] : layout.rope_entries_at) {
    // An entry is rotated at the position of the first token of its window.
    const uint32_t first = position / ratio;
    const uint32_t last = (position + count) / ratio;
    for (uint32_t j = first; j < last; ++j) write_row(yarn_, j * ratio, &words[at + (j - first) * rope]);
  }
  return words;
}

}  // namespace nibble
