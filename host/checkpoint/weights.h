// The weights of a whole model, found by name in a checkpoint and validated against its config: names, dtypes, shapes.
// Everything points into the checkpoint's mapped files: no copies, nothing is read but the hash-routing tables, whose
// ids are range-checked, and block scales that are stored as floats, which become E8M0. Valid as long as the
// Checkpoint. Plain values, immutable, readable from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/scales.h"
#include "shaders/formats/weight_format.h"

namespace nibble {

// y = W x with W [rows, cols], rows = outputs. `cols` counts values, not bytes.
struct WeightMatrix {
  WeightFormat format = WeightFormat::kF32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  const TensorView* weight = nullptr;  // fp4: I8 [rows, cols/2], else [rows, cols]
  const TensorView* scale = nullptr;   // of formats with scales: F8_E8M0, one per block
  bool scale_converted = false;        // `scale` is one of ModelWeights::converted and in no file

  uint64_t bytes() const { return weight->data.size() + (scale != nullptr ? scale->data.size() : 0); }
};

struct WeightVector {
  WeightFormat format = WeightFormat::kF32;  // kBf16 or kF32
  uint64_t size = 0;
  const TensorView* values = nullptr;
};

// Hyper-connection mixing, all f32. A layer's: fn [C + C + C*C, C*D], base [C + C + C*C], scale [3].
// A head's: fn [C, C*D], base [C], scale [1].
struct HyperConnectionWeights {
  WeightMatrix fn;
  WeightVector base;
  WeightVector scale;
};

// width = head_dim or index_head_dim; columns = 2*width where windows overlap, else width.
struct CompressorWeights {
  uint32_t ratio = 0;
  uint32_t width = 0;
  bool overlap = false;
  WeightMatrix wkv;    // [columns, D] bf16 or f32
  WeightMatrix wgate;  // [columns, D] bf16 or f32
  WeightVector norm;   // [width]
  WeightMatrix ape;    // [ratio, columns] f32
};

struct IndexerWeights {
  WeightMatrix wq_b;          // [index_n_heads*index_head_dim, q_lora_rank] fp8
  WeightMatrix weights_proj;  // [index_n_heads, D] bf16 or f32
  CompressorWeights compressor;
};

struct AttentionWeights {
  WeightMatrix wq_a;                            // [q_lora_rank, D]
  WeightVector q_norm;                          // [q_lora_rank]
  WeightMatrix wq_b;                            // [H*d, q_lora_rank]
  WeightMatrix wkv;                             // [d, D]
  WeightVector kv_norm;                         // [d]
  WeightMatrix wo_a;                            // [o_groups*o_lora_rank, H*d/o_groups]; scales by absolute row; or bf16
  WeightMatrix wo_b;                            // [D, o_groups*o_lora_rank]
  WeightVector attn_sink;                       // [H] f32
  std::optional<CompressorWeights> compressor;  // where the layer compresses
  std::optional<IndexerWeights> indexer;        // where it is indexed
};

struct ExpertWeights {
  WeightMatrix w1;  // [moe_intermediate_size, D], gate
  WeightMatrix w2;  // [D, moe_intermediate_size], down
  WeightMatrix w3;  // [moe_intermediate_size, D], up
};

struct MoeWeights {
  WeightMatrix gate;                    // [experts, D] bf16 or f32
  std::optional<WeightVector> bias;     // [experts] f32; score-routed layers
  const TensorView* tid2eid = nullptr;  // [vocab, num_experts_per_tok] I64 or I32, checked; hash-routed layers
  std::vector<ExpertWeights> experts;   // all of one format, fp4 or fp8
  ExpertWeights shared;                 // fp8
};

struct LayerWeights {
  LayerPlan plan;
  WeightVector attn_norm;
  WeightVector ffn_norm;
  HyperConnectionWeights hc_attn;
  HyperConnectionWeights hc_ffn;
  AttentionWeights attn;
  MoeWeights ffn;
};

// The speculative block; its embedding and output matrix are the model's.
struct MtpWeights {
  LayerWeights layer;   // routes by score
  WeightMatrix e_proj;  // [D, D] fp8
  WeightMatrix h_proj;  // [D, D] fp8
  WeightVector enorm;
  WeightVector hnorm;
  WeightVector norm;
  HyperConnectionWeights hc_head;
};

struct ModelWeights {
  WeightMatrix embed;  // [vocab, D] bf16 or f32
  WeightMatrix head;   // [vocab, D] bf16 or f32
  WeightVector norm;
  HyperConnectionWeights hc_head;
  std::vector<LayerWeights> layers;
  std::optional<MtpWeights> mtp;  // where Checkpoint::has_mtp()
  std::vector<std::unique_ptr<const ConvertedScales>> converted;
};

// Throws kInvalidFile at the first missing tensor, wrong dtype, wrong shape or expert id out of range; the message
// names tensor, file, found, expected and the config field that expects it.
ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config);

// What a checkpoint lacks and what it has too much of.
struct WeightSurvey {
  std::vector<std::string> problems;  // what load_weights would throw, were it to go on; the first `max_problems`
  uint64_t problem_count = 0;         // all of them
  std::vector<std::string> unused;    // stored names of tensors that no part of the model reads
};
WeightSurvey survey_weights(const Checkpoint& checkpoint, const ModelConfig& config, size_t max_problems);

}  // namespace nibble
