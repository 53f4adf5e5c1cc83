#include "host/layers/layers.h"

namespace nibble {

LayerTaps append_layer(Builder& b, const DeviceLayer& layer, const LayerKv& kv, const KvFormat& format,
                       const Stream& stream, const std::string& name) {
  LayerTaps taps;
  b.set_scope(name + ".attn");
  const Collapsed attention_input = append_hc_pre(b, layer.hc_attn, layer.attn_norm, stream);
  const AttentionContext context{.weights = layer.attn, .kv = kv, .format = format, .ratio = layer.plan.ratio};
  append_hc_post(b, attention_input, append_attention(b, context, attention_input.x, taps), stream);

  b.set_scope(name + ".ffn");
  const Collapsed moe_input = append_hc_pre(b, layer.hc_ffn, layer.ffn_norm, stream);
  append_hc_post(b, moe_input, append_moe(b, layer.ffn, moe_input.x, taps), stream);
  return taps;
}

}  // namespace nibble
