#include "host/synthetic/tensors.h"

#include <cmath>
#include <tuple>

#include <fmt/format.h>

#include "host/synthetic/values.h"

namespace nibble {
namespace {

// Appends tensors one by one; names and shapes follow the released layout, written out apart from the loader's.
class Builder {
 public:
  Builder(const ModelConfig& config, const SyntheticOptions& options) : config_(config), options_(options) {}

  std::vector<SyntheticTensor> build() {
    const uint64_t hidden = config_.hidden_size;
    // A standard deviation of 1 for the stream, and logits that differ by a few units.
    floats("embed.weight", {config_.vocab_size, hidden}, 1.0);
    for (uint32_t i = 0; i < config_.num_hidden_layers; ++i) {
      layer(fmt::format("layers.{}.", i), config_.layer_plan(i));
    }
    norm("norm.weight", hidden);
    hyper_connection_head("");
    floats("head.weight", {config_.vocab_size, hidden}, 2.0 / std::sqrt(static_cast<double>(hidden)));
    if (config_.announces_mtp()) mtp("mtp.0.");
    return std::move(tensors_);
  }

 private:
  void layer(const std::string& prefix, const LayerPlan& plan) {
    const uint64_t hidden = config_.hidden_size;
    norm(prefix + "attn_norm.weight", hidden);
    norm(prefix + "ffn_norm.weight", hidden);
    hyper_connection(prefix + "hc_attn");
    hyper_connection(prefix + "hc_ffn");
    attention(prefix + "attn.", plan);
    experts(prefix + "ffn.", plan.hash_routed);
  }

  void attention(const std::string& prefix, const LayerPlan& plan) {
    const uint64_t hidden = config_.hidden_size;
    const uint64_t width = uint64_t{config_.num_attention_heads} * config_.head_dim;
    const uint64_t o_rank = uint64_t{config_.o_groups} * config_.o_lora_rank;
    fp8(prefix + "wq_a", config_.q_lora_rank, hidden);
    norm(prefix + "q_norm.weight", config_.q_lora_rank);
    fp8(prefix + "wq_b", width, config_.q_lora_rank);
    fp8(prefix + "wkv", config_.head_dim, hidden);
    norm(prefix + "kv_norm.weight", config_.head_dim);
    fp8(prefix + "wo_a", o_rank, width / config_.o_groups);
    fp8(prefix + "wo_b", hidden, o_rank);
    f32(prefix + "attn_sink", {config_.num_attention_heads}, {.deviation = 1.0});
    if (plan.compresses()) compressor(prefix + "compressor.", plan, config_.head_dim);
    if (plan.indexed) {
      fp8(prefix + "indexer.wq_b", uint64_t{config_.index_n_heads} * config_.index_head_dim, config_.q_lora_rank);
      linear(prefix + "indexer.weights_proj.weight", config_.index_n_heads, hidden);
      compressor(prefix + "indexer.compressor.", plan, config_.index_head_dim);
    }
  }

  void compressor(const std::string& prefix, const LayerPlan& plan, uint64_t width) {
    const uint64_t columns = plan.overlap ? 2 * width : width;
    linear(prefix + "wkv.weight", columns, config_.hidden_size);
    linear(prefix + "wgate.weight", columns, config_.hidden_size);
    norm(prefix + "norm.weight", width);
    f32(prefix + "ape", {plan.ratio, columns}, {.deviation = 0.5});
  }

  void experts(const std::string& prefix, bool hash_routed) {
    linear(prefix + "gate.weight", config_.n_routed_experts, config_.hidden_size);
    if (hash_routed) {
      expert_ids(prefix + "gate.tid2eid");
    } else {
      f32(prefix + "gate.bias", {config_.n_routed_experts}, {.deviation = 0.1});
    }
    for (uint32_t i = 0; i < config_.n_routed_experts; ++i) {
      expert(fmt::format("{}experts.{}.", prefix, i), options_.fp8_experts);
    }
    expert(prefix + "shared_experts.", true);
  }

  void expert(const std::string& prefix, bool in_fp8) {
    const uint64_t hidden = config_.hidden_size;
    const uint64_t width = config_.moe_intermediate_size;
    for (const auto& [name, rows, cols] :
         {std::tuple{"w1", width, hidden}, std::tuple{"w2", hidden, width}, std::tuple{"w3", width, hidden}}) {
      if (in_fp8) {
        fp8(prefix + name, rows, cols);
      } else {
        fp4(prefix + name, rows, cols);
      }
    }
  }

  void mtp(const std::string& prefix) {
    const uint64_t hidden = config_.hidden_size;
    layer(prefix, config_.mtp_plan());
    fp8(prefix + "e_proj", hidden, hidden);
    fp8(prefix + "h_proj", hidden, hidden);
    norm(prefix + "enorm.weight", hidden);
    norm(prefix + "hnorm.weight", hidden);
    norm(prefix + "norm.weight", hidden);
    hyper_connection_head(prefix);
  }

  void hyper_connection(const std::string& prefix) {
    const uint64_t copies = config_.hc_mult;
    const uint64_t mixes = copies * (2 + copies);
    const uint64_t streams = copies * config_.hidden_size;
    f32(prefix + "_fn", {mixes, streams}, {.deviation = 1.0 / std::sqrt(static_cast<double>(streams))});
    f32(prefix + "_base", {mixes}, {.deviation = 1.0});
    f32(prefix + "_scale", {3}, {.mean = 0.7, .deviation = 0.2});
  }

  void hyper_connection_head(const std::string& prefix) {
    const uint64_t copies = config_.hc_mult;
    const uint64_t streams = copies * config_.hidden_size;
    f32(prefix + "hc_head_fn", {copies, streams}, {.deviation = 1.0 / std::sqrt(static_cast<double>(streams))});
    f32(prefix + "hc_head_base", {copies}, {.deviation = 1.0});
    f32(prefix + "hc_head_scale", {1}, {.mean = 0.7, .deviation = 0.2});
  }

  // ---- Single tensors.

  void norm(const std::string& name, uint64_t size) { stored_floats(name, {size}, {.mean = 1.0, .deviation = 0.1}); }

  void linear(const std::string& name, uint64_t rows, uint64_t cols) {
    stored_floats(name, {rows, cols}, {.deviation = 1.0 / std::sqrt(static_cast<double>(cols))});
  }

  void floats(const std::string& name, std::vector<uint64_t> shape, double deviation) {
    stored_floats(name, std::move(shape), {.deviation = deviation});
  }

  void stored_floats(const std::string& name, std::vector<uint64_t> shape, SyntheticValues values) {
    tensors_.push_back({name, options_.f32_floats ? Dtype::kF32 : Dtype::kBf16, std::move(shape), values});
  }

  void f32(const std::string& name, std::vector<uint64_t> shape, SyntheticValues values) {
    tensors_.push_back({name, Dtype::kF32, std::move(shape), values});
  }

  void expert_ids(const std::string& name) {
    tensors_.push_back({name,
                        options_.i32_expert_ids ? Dtype::kI32 : Dtype::kI64,
                        {config_.vocab_size, config_.num_experts_per_tok},
                        {.kind = SyntheticValues::Kind::kExpertIds, .experts = config_.n_routed_experts}});
  }

  // Scales whose factor makes the deviation of the drawn codes' values into about 1/sqrt(cols).
  static SyntheticValues scales(uint64_t cols, double code_deviation) {
    const double factor = 1.0 / (std::sqrt(static_cast<double>(cols)) * code_deviation);
    return {.kind = SyntheticValues::Kind::kScales, .exponent = 127 + static_cast<int>(std::lround(std::log2(factor)))};
  }

  void fp8(const std::string& name, uint64_t rows, uint64_t cols) {
    tensors_.push_back({name + ".weight", Dtype::kF8E4M3, {rows, cols}, {.kind = SyntheticValues::Kind::kFp8Codes}});
    tensors_.push_back(
        {name + ".scale", Dtype::kF8E8M0, {(rows + 127) / 128, (cols + 127) / 128}, scales(cols, kFp8CodeDeviation)});
  }

  void fp4(const std::string& name, uint64_t rows, uint64_t cols) {
    tensors_.push_back({name + ".weight", Dtype::kI8, {rows, cols / 2}, {.kind = SyntheticValues::Kind::kFp4Codes}});
    tensors_.push_back({name + ".scale", Dtype::kF8E8M0, {rows, cols / 32}, scales(cols, kFp4CodeDeviation)});
  }

  const ModelConfig& config_;
  const SyntheticOptions options_;
  std::vector<SyntheticTensor> tensors_;
};

}  // namespace

uint64_t SyntheticTensor::bytes() const {
  uint64_t bytes = dtype_bytes(dtype);
  for (const uint64_t extent : shape) bytes *= extent;
  return bytes;
}

std::vector<SyntheticTensor> synthetic_tensors(const ModelConfig& config, const SyntheticOptions& options) {
  return Builder(config, options).build();
}

}  // namespace nibble
