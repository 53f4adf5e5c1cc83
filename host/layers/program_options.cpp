#include "host/layers/program_options.h"

#include <algorithm>
#include <limits>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// Elements that a token has in the longest of the activations.
uint64_t widest_row(const ModelConfig& c, const ProgramOptions& options) {
  const auto product = [](uint64_t a, uint64_t b) { return a * b; };
  return std::max({product(c.num_attention_heads, c.head_dim), product(c.index_n_heads, c.index_head_dim),
                   product(c.hc_mult, c.hidden_size), product(c.o_groups, c.o_lora_rank),
                   product(c.num_experts_per_tok, std::max(c.hidden_size, c.moe_intermediate_size)),
                   product(options.all_logits ? c.vocab_size : 1, 1)});
}

}  // namespace

uint32_t longest_step(const ModelConfig& config, const ProgramOptions& options) {
  return static_cast<uint32_t>(std::numeric_limits<uint32_t>::max() / widest_row(config, options));
}

void require_step_length(const ModelConfig& config, const ProgramOptions& options, uint32_t tokens) {
  const uint32_t most = longest_step(config, options);
  if (tokens <= most) return;
  fail(ErrorCode::kUsage,
       "a step of {} tokens, this model's may have at most {}: a token's longest activation has {} values, and kernels "
       "count them in 32 bits; lower --chunk",
       tokens, most, widest_row(config, options));
}

}  // namespace nibble
