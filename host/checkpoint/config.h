// ModelConfig: the numbers of a checkpoint's config.json, validated. Field names are the file's own.
// Plain values, freely copied. Integers are 32-bit; a product of two may not fit 32 bits, so widen first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

// YaRN as in Peng et al. 2023 (arXiv 2309.00071), used by layers that have a compressor.
struct YarnConfig {
  double factor = 1.0;
  uint32_t original_max_position_embeddings = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
};

// Attention over the window alone, with chosen compressed entries (CSA), or with all of them (HCA).
enum class AttentionKind : uint8_t { kWindow, kCsa, kHca };
// "window", "csa" or "hca".
std::string_view attention_kind_name(AttentionKind kind);

// What a layer is made of.
struct LayerPlan {
  uint32_t ratio = 0;        // tokens per compressed entry; 0: there are none
  bool overlap = false;      // an entry's window reaches back over the one before
  bool indexed = false;      // an indexer chooses among the entries
  bool hash_routed = false;  // experts by the token's id instead of by score

  bool compresses() const { return ratio != 0; }
  AttentionKind attention() const;
  // The ratio whose layers have windows that overlap and an indexer in the published models.
  static constexpr uint32_t kIndexedRatio = 4;
  // As an entry of compress_ratios says; routed by score.
  static LayerPlan of_ratio(uint32_t ratio);
};

struct ModelConfig {
  uint32_t vocab_size = 0;
  uint32_t hidden_size = 0;  // multiple of 32, the FP4 block
  uint32_t num_hidden_layers = 0;
  uint32_t max_position_embeddings = 0;

  uint32_t num_attention_heads = 0;
  uint32_t head_dim = 0;          // multiple of 16
  uint32_t qk_rope_head_dim = 0;  // the last of head_dim; even, and head_dim - qk_rope_head_dim is a multiple of 16
  uint32_t q_lora_rank = 0;       // multiple of 16, as is every input of an FP8 matrix
  uint32_t o_groups = 0;          // divides num_attention_heads
  uint32_t o_lora_rank = 0;
  uint32_t sliding_window = 0;
  // As in the file: one per layer, then perhaps those of what lies beside the trunk, an MTP block or a draft head.
  std::vector<uint32_t> compress_ratios;

  uint32_t index_n_heads = 0;
  uint32_t index_head_dim = 0;  // power of two from 32 (Hadamard, FP4 block), at least qk_rope_head_dim
  uint32_t index_topk = 0;

  uint32_t n_routed_experts = 0;
  uint32_t num_experts_per_tok = 0;    // at most n_routed_experts
  uint32_t n_shared_experts = 0;       // 1
  uint32_t moe_intermediate_size = 0;  // multiple of 32, the FP4 block
  uint32_t num_hash_layers = 0;        // the first layers route by token id
  float routed_scaling_factor = 1.0f;
  float swiglu_limit = 0.0f;  // 0 in the file means no clamp and is stored as the largest float
  std::string expert_dtype;   // "fp4", "fp8" or empty; informative, the tensors' dtype decides

  uint32_t hc_mult = 0;  // copies of the residual stream
  uint32_t hc_sinkhorn_iters = 0;
  float hc_eps = 0.0f;
  float rms_norm_eps = 0.0f;

  double rope_theta = 0.0;           // layers with ratio 0, no YaRN
  double compress_rope_theta = 0.0;  // layers with a compressor, with YaRN
  YarnConfig yarn;

  // What the file says of a part for speculation. The checkpoint's tensors decide what there is (Checkpoint::draft);
  // the number is 1 or 3 where the part is a DSpark head, which has keys of its own.
  uint32_t num_nextn_predict_layers = 0;
  bool has_dspark_keys = false;
  std::optional<uint32_t> bos_token_id;  // none where the files name none
  std::vector<uint32_t> eos_token_ids;   // each ends a text: a number or a list in the file, distinct

  LayerPlan layer_plan(uint32_t layer) const;
  // By the entry after the last layer's, or 0 where the file omits it.
  LayerPlan mtp_plan() const {
    return LayerPlan::of_ratio(compress_ratios.size() > num_hidden_layers ? compress_ratios[num_hidden_layers] : 0);
  }
  // How many of compress_ratios no layer of the trunk has.
  size_t extra_ratios() const { return compress_ratios.size() - num_hidden_layers; }
  bool announces_mtp() const { return num_nextn_predict_layers > 0 && !has_dspark_keys; }

  // `path` is the file itself. A generation_config.json beside it adds its beginnings and ends of texts: programs that
  // generate text with the released files stop at both. Errors are one line: file, field, found, allowed. Throws
  // kNotFound, kInvalidFile, kUnsupported (a legal model, but not one nibble computes) or kIo.
  static ModelConfig load(const std::string& path);
  // `source` names the text in errors.
  static ModelConfig parse(std::string_view text, const std::string& source);
};

}  // namespace nibble
