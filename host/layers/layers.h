// The parts of DeepSeek-V4, each appending its dispatches to a program ("DeepSeek-V4: Towards Highly Efficient
// Million-Token Context Intelligence"). T = tokens of the chunk, D = hidden size, C = hc_mult.
#pragma once

#include "host/layers/builder.h"

namespace nibble {

// The residual stream X [T, C, D], changed in place by every layer.
using Stream = BufferView;

// What attention of one layer works on and leaves behind.
struct AttentionContext {
  const DeviceAttention& weights;
  const LayerKv& kv;
  const KvFormat& format;
  uint32_t ratio = 0;
};

// The tensors that tests look at.
struct LayerTaps {
  BufferView experts;         // u32 [T, k]
  BufferView expert_weights;  // f32 [T, k]
  BufferView index_ids;       // u32 [T, index_topk + 1]: count, then ids; indexed layers only
};

// Collapse of the stream for one sub-layer, with what expanding its output needs.
struct Collapsed {
  BufferView x;     // [T, D], normalised
  BufferView post;  // [T, C]
  BufferView comb;  // [T, C, C], source then target
};

// Hyper-connections (section "Manifold-constrained hyper-connections"): mixing weights by Sinkhorn, collapse, RMSNorm.
Collapsed append_hc_pre(Builder& b, const DeviceHyperConnection& hc, const BufferView& norm, const Stream& stream);
// X_k = post_k f + sum_j comb_jk X_j.
void append_hc_post(Builder& b, const Collapsed& collapsed, const BufferView& f, const Stream& stream);
// The collapse in front of the output matrix, of the rows logits are wanted for: [L, D].
BufferView append_hc_head(Builder& b, const DeviceHyperConnection& hc, const BufferView& norm, const Stream& stream);

// Attention of one layer: x [T, D] -> [T, D].
BufferView append_attention(Builder& b, const AttentionContext& context, const BufferView& x, LayerTaps& taps);

// Compressor: tokens to one f32 row per completed window (RMSNorm and rotation applied), [entries, width]. Updates the
// state of the open window.
BufferView append_compressor(Builder& b, const DeviceCompressor& compressor, const CompressorState& state,
                             const BufferView& x, const std::string& name);

// Lightning indexer: the index_topk best compressed entries per token, u32 [T, index_topk + 1]. x is the attention
// input, q_a the low-rank query as FP8 linears read it.
BufferView append_indexer(Builder& b, const AttentionContext& context, const BufferView& x, const Activations& q_a);

// Which experts each token goes to, and with what weight.
struct Routing {
  BufferView ids;      // u32 [T, k]
  BufferView weights;  // f32 [T, k]
};
// The routed experts alone: x [T, D] as their linears read it -> [T, D].
BufferView append_routed(Builder& b, const DeviceMoe& moe, const Routing& routing, const Activations& x);

// Mixture of experts with its gate and the shared expert: x [T, D] -> [T, D].
BufferView append_moe(Builder& b, const DeviceMoe& moe, const BufferView& x, LayerTaps& taps);

// One whole layer; returns its taps.
LayerTaps append_layer(Builder& b, const DeviceLayer& layer, const LayerKv& kv, const KvFormat& format,
                       const Stream& stream, const std::string& name);

// The MTP block's input from the trunk's last stream and the tokens that follow, which are those of its step.
void append_mtp_input(Builder& b, const DeviceMtp& mtp, const DeviceTable& embed, const Stream& trunk,
                      const Stream& stream);

}  // namespace nibble
