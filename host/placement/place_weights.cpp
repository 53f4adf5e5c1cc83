#include "host/placement/place_weights.h"

#include "host/placement/weight_placer.h"
#include "runtime/base/mapping_guard.h"

namespace nibble {
namespace {

DeviceHyperConnection place_hyper_connection(WeightPlacer& placer, const HyperConnectionWeights& w) {
  return {.fn = placer.dense_f32(w.fn), .base = placer.vector(w.base), .scale = placer.vector(w.scale)};
}

DeviceCompressor place_compressor(WeightPlacer& placer, const CompressorWeights& w) {
  return {.ratio = w.ratio,
          .width = w.width,
          .overlap = w.overlap,
          .wkv = placer.matrix(w.wkv),
          .wgate = placer.matrix(w.wgate),
          .norm = placer.vector(w.norm),
          .ape = placer.dense_f32(w.ape)};
}

DeviceAttention place_attention(WeightPlacer& placer, const AttentionWeights& w) {
  DeviceAttention result{.wq_a = placer.matrix(w.wq_a),
                         .wq_b = placer.matrix(w.wq_b),
                         .wkv = placer.matrix(w.wkv),
                         .wo_a = placer.matrix(w.wo_a),
                         .wo_b = placer.matrix(w.wo_b),
                         .q_norm = placer.vector(w.q_norm),
                         .kv_norm = placer.vector(w.kv_norm),
                         .sinks = placer.vector(w.attn_sink)};
  if (w.compressor) result.compressor = place_compressor(placer, *w.compressor);
  if (w.indexer) {
    result.indexer = DeviceIndexer{.wq_b = placer.matrix(w.indexer->wq_b),
                                   .weights_proj = placer.matrix(w.indexer->weights_proj),
                                   .compressor = place_compressor(placer, w.indexer->compressor)};
  }
  return result;
}

DeviceMoe place_moe(WeightPlacer& placer, const MoeWeights& w) {
  DeviceMoe result{.gate = placer.matrix(w.gate),
                   .hash = w.tid2eid != nullptr,
                   .w1 = placer.experts(w.experts, &ExpertWeights::w1),
                   .w2 = placer.experts(w.experts, &ExpertWeights::w2),
                   .w3 = placer.experts(w.experts, &ExpertWeights::w3),
                   .shared_w1 = placer.matrix(w.shared.w1),
                   .shared_w2 = placer.matrix(w.shared.w2),
                   .shared_w3 = placer.matrix(w.shared.w3)};
  if (w.bias) result.bias = placer.vector(*w.bias);
  if (w.tid2eid != nullptr) result.table = placer.hash_table(*w.tid2eid);
  return result;
}

DeviceLayer place_layer(WeightPlacer& placer, const LayerWeights& w) {
  return {.plan = w.plan,
          .attn_norm = placer.vector(w.attn_norm),
          .ffn_norm = placer.vector(w.ffn_norm),
          .hc_attn = place_hyper_connection(placer, w.hc_attn),
          .hc_ffn = place_hyper_connection(placer, w.hc_ffn),
          .attn = place_attention(placer, w.attn),
          .ffn = place_moe(placer, w.ffn)};
}

uint64_t bytes_of(const MoeWeights& w) {
  uint64_t bytes = w.gate.bytes() + w.shared.w1.bytes() + w.shared.w2.bytes() + w.shared.w3.bytes();
  for (const ExpertWeights& e : w.experts) bytes += e.w1.bytes() + e.w2.bytes() + e.w3.bytes();
  return bytes;
}

// An estimate for the progress bar; the small vectors are left out.
uint64_t bytes_of(const LayerWeights& w) {
  const AttentionWeights& a = w.attn;
  uint64_t bytes = a.wq_a.bytes() + a.wq_b.bytes() + a.wkv.bytes() + a.wo_a.bytes() + a.wo_b.bytes() + bytes_of(w.ffn);
  for (const CompressorWeights* c :
       {a.compressor ? &*a.compressor : nullptr, a.indexer ? &a.indexer->compressor : nullptr}) {
    if (c != nullptr) bytes += c->wkv.bytes() + c->wgate.bytes();
  }
  return bytes;
}

uint64_t bytes_of(const ModelWeights& w) {
  uint64_t bytes = w.embed.bytes() + w.head.bytes();
  for (const LayerWeights& layer : w.layers) bytes += bytes_of(layer);
  if (w.mtp) bytes += bytes_of(w.mtp->layer) + w.mtp->e_proj.bytes() + w.mtp->h_proj.bytes();
  return bytes;
}

}  // namespace

DeviceWeights place_weights(Device& device, const ModelWeights& weights, std::shared_ptr<const void> keep_alive,
                            const LoadProgress& progress) {
  WeightPlacer placer(device, std::move(keep_alive), bytes_of(weights), progress);
  DeviceWeights result{.embed = placer.table(weights.embed),
                       .head = placer.matrix(weights.head),
                       .norm = placer.vector(weights.norm),
                       .hc_head = place_hyper_connection(placer, weights.hc_head)};
  for (const LayerWeights& layer : weights.layers) result.layers.push_back(place_layer(placer, layer));
  if (weights.mtp) {
    const MtpWeights& mtp = *weights.mtp;
    result.mtp = DeviceMtp{.layer = place_layer(placer, mtp.layer),
                           .e_proj = placer.matrix(mtp.e_proj),
                           .h_proj = placer.matrix(mtp.h_proj),
                           .enorm = placer.vector(mtp.enorm),
                           .hnorm = placer.vector(mtp.hnorm),
                           .norm = placer.vector(mtp.norm),
                           .hc_head = place_hyper_connection(placer, mtp.hc_head)};
  }
  check_mappings();
  result.device_bytes = placer.device_bytes();
  return result;
}

}  // namespace nibble
