#include "host/synthetic/released_shapes.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// What both models share (config.json as published with the weights).
nlohmann::json common_config() {
  return nlohmann::json::parse(R"({
    "architectures": ["DeepseekV4ForCausalLM"], "model_type": "deepseek_v4", "torch_dtype": "bfloat16",
    "scoring_func": "sqrtsoftplus", "topk_method": "noaux_tc", "norm_topk_prob": true, "hidden_act": "silu",
    "vocab_size": 129280, "max_position_embeddings": 1048576, "bos_token_id": 0, "eos_token_id": 1,
    "head_dim": 512, "qk_rope_head_dim": 64, "num_key_value_heads": 1, "o_lora_rank": 1024, "sliding_window": 128,
    "index_n_heads": 64, "index_head_dim": 128, "num_experts_per_tok": 6, "n_shared_experts": 1,
    "num_hash_layers": 3, "num_nextn_predict_layers": 1, "swiglu_limit": 10.0,
    "hc_mult": 4, "hc_sinkhorn_iters": 20, "hc_eps": 1e-06, "rms_norm_eps": 1e-06,
    "rope_theta": 10000, "compress_rope_theta": 160000,
    "rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 65536,
                     "beta_fast": 32, "beta_slow": 1},
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                            "scale_fmt": "ue8m0", "weight_block_size": [128, 128]},
    "tie_word_embeddings": false, "use_cache": true})");
}

// The first two layers' ratio, then 4 and 128 in turn, then the MTP block without compressed entries.
std::vector<uint32_t> ratios(uint32_t layers, uint32_t first) {
  std::vector<uint32_t> ratios = {first, first};
  while (ratios.size() < layers) ratios.push_back(ratios.size() % 2 == 0 ? 4 : 128);
  ratios.push_back(0);
  return ratios;
}

nlohmann::json whole_config(std::string_view shape) {
  nlohmann::json config = common_config();
  if (shape == "v4-flash") {
    config.update({{"hidden_size", 4096},
                   {"num_hidden_layers", 43},
                   {"num_attention_heads", 64},
                   {"q_lora_rank", 1024},
                   {"o_groups", 8},
                   {"index_topk", 512},
                   {"n_routed_experts", 256},
                   {"moe_intermediate_size", 2048},
                   {"routed_scaling_factor", 1.5},
                   {"compress_ratios", ratios(43, 0)}});
    return config;
  }
  if (shape == "v4-pro") {
    config.update({{"hidden_size", 7168},
                   {"num_hidden_layers", 61},
                   {"num_attention_heads", 128},
                   {"q_lora_rank", 1536},
                   {"o_groups", 16},
                   {"index_topk", 1024},
                   {"n_routed_experts", 384},
                   {"moe_intermediate_size", 3072},
                   {"routed_scaling_factor", 2.5},
                   {"expert_dtype", "fp4"},
                   {"compress_ratios", ratios(61, 128)}});
    return config;
  }
  fail(ErrorCode::kUsage, "there is no shape '{}' (there are {})", shape, fmt::join(released_shapes(), ", "));
}

}  // namespace

std::vector<std::string> released_shapes() { return {"v4-flash", "v4-pro"}; }

nlohmann::json released_config(std::string_view shape, uint32_t layers) {
  nlohmann::json config = whole_config(shape);
  const uint32_t all = config["num_hidden_layers"];
  if (layers > all) fail(ErrorCode::kUsage, "{} has {} layers, {} were asked for", shape, all, layers);
  if (layers == 0 || layers == all) return config;
  config["num_hidden_layers"] = layers;
  config["num_nextn_predict_layers"] = 0;
  config["num_hash_layers"] = std::min<uint32_t>(layers, config["num_hash_layers"]);
  config["compress_ratios"] = std::vector<uint32_t>(config["compress_ratios"].begin(),
                                                    config["compress_ratios"].begin() + static_cast<ptrdiff_t>(layers));
  return config;
}

}  // namespace nibble
