#include "host/layers/layers.h"
#include "runtime/core/kernel_table.h"
#include "shaders/hyper/hc_head_f32/hc_head_f32.h"
#include "shaders/hyper/hc_post_f32/hc_post_f32.h"
#include "shaders/hyper/hc_pre_join_f32/hc_pre_join_f32.h"

namespace nibble {

Collapsed append_hc_pre(Builder& b, const DeviceHyperConnection& hc, const BufferView& norm, const Stream& stream) {
  const ModelConfig& c = b.config();
  const Collapsed result{.x = b.temporary({}, c.hidden_size, "x"),
                         .post = b.temporary({}, c.hc_mult, "hc.post"),
                         .comb = b.temporary({}, uint64_t{c.hc_mult} * c.hc_mult, "hc.comb")};
  const HcPreParams params{.cols = c.hidden_size,
                           .copies = c.hc_mult,
                           .sinkhorn_iters = c.hc_sinkhorn_iters,
                           .norm_eps = c.rms_norm_eps,
                           .hc_eps = c.hc_eps};
  const uint32_t sums = c.hc_mult * (c.hc_mult + 2) + 1;
  const uint32_t parts = b.hyper_connection_parts(sums);
  if (parts == 1) {
    b.add(kernels::hc_pre_f32(), pack_params(params),
          {stream, hc.fn, hc.base, hc.scale, norm, result.x, result.post, result.comb}, "hc_pre");
    return result;
  }
  const BufferView part_sums = b.temporary({.rows_per_token = parts}, sums, "hc.sums");
  const HcMixPartsParams mix{.width = c.hc_mult * c.hidden_size, .rows = sums - 1, .parts = parts};
  b.add(kernels::hc_mix_parts_f32(), pack_params(mix), {stream, hc.fn, part_sums}, "hc_pre.parts");
  b.add(kernels::hc_pre_join_f32(), pack_params(HcPreJoinParams{.pre = params, .parts = parts}),
        {stream, part_sums, hc.base, hc.scale, norm, result.x, result.post, result.comb}, "hc_pre.join");
  return result;
}

void append_hc_post(Builder& b, const Collapsed& collapsed, const BufferView& f, const Stream& stream) {
  const HcPostParams params{.cols = b.config().hidden_size, .copies = b.config().hc_mult};
  b.add(kernels::hc_post_f32(), pack_params(params), {f, collapsed.post, collapsed.comb, stream}, "hc_post");
}

BufferView append_hc_head(Builder& b, const DeviceHyperConnection& hc, const BufferView& norm, const Stream& stream) {
  const ModelConfig& c = b.config();
  BufferView y = b.temporary({.count_at = kStepLogits}, c.hidden_size, "hc_head");
  const HcHeadParams params{.cols = c.hidden_size, .copies = c.hc_mult, .norm_eps = c.rms_norm_eps, .hc_eps = c.hc_eps};
  b.add(kernels::hc_head_f32(), pack_params(params), {stream, hc.fn, hc.base, hc.scale, norm, y}, "hc_head");
  return y;
}

}  // namespace nibble
