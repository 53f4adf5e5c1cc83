#include "tests/support/synthetic_model.h"

#include <nlohmann/json.hpp>

#include "host/synthetic/values.h"

namespace nibble {

nlohmann::json synthetic_config() {
  return nlohmann::json::parse(R"({
    "model_type": "deepseek_v4", "scoring_func": "sqrtsoftplus", "hidden_act": "silu",
    "vocab_size": 61, "hidden_size": 128, "num_hidden_layers": 3, "max_position_embeddings": 4096,
    "num_attention_heads": 4, "head_dim": 96, "qk_rope_head_dim": 32, "q_lora_rank": 64,
    "o_groups": 2, "o_lora_rank": 32, "sliding_window": 32, "compress_ratios": [0, 4, 128, 0],
    "index_n_heads": 4, "index_head_dim": 32, "index_topk": 4,
    "n_routed_experts": 5, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 64,
    "num_hash_layers": 1, "routed_scaling_factor": 1.5, "swiglu_limit": 10.0,
    "hc_mult": 4, "hc_sinkhorn_iters": 20, "hc_eps": 1e-06, "rms_norm_eps": 1e-06,
    "rope_theta": 10000, "compress_rope_theta": 160000,
    "rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 64,
                     "beta_fast": 32, "beta_slow": 1},
    "num_nextn_predict_layers": 1, "bos_token_id": 0, "eos_token_id": 1})");
}

std::vector<StoredTensor> stored_synthetic_tensors(const ModelConfig& config, const SyntheticOptions& options) {
  std::vector<StoredTensor> stored;
  for (const SyntheticTensor& tensor : synthetic_tensors(config, options)) {
    std::string bytes(tensor.bytes(), '\0');
    SyntheticBytes(tensor, options.seed).fill(std::as_writable_bytes(std::span(bytes)));
    stored.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = std::move(bytes)});
  }
  return stored;
}

void write_synthetic_model(const std::string& directory, std::string_view config_json, const SyntheticOptions& options,
                           size_t shards) {
  const ModelConfig config = ModelConfig::parse(config_json, "synthetic config.json");
  write_checkpoint(directory, config_json, stored_synthetic_tensors(config, options), shards);
}

}  // namespace nibble
