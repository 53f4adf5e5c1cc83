#include "host/layers/layers.h"
#include "runtime/core/kernel_table.h"
#include "shaders/hyper/add_broadcast_f32/add_broadcast_f32.h"

namespace nibble {

void append_mtp_input(Builder& b, const DeviceMtp& mtp, const DeviceTable& embed, const Stream& trunk,
                      const Stream& stream) {
  const ModelConfig& c = b.config();
  b.set_scope("mtp.0.input");
  const Rows copies{.rows_per_token = c.hc_mult};
  BufferView next = b.temporary({}, c.hidden_size, "embed");
  b.embed(embed, b.step().tokens_at, 1, next);
  const BufferView e = b.norm_rope(next, {.cols = c.hidden_size, .weight = mtp.enorm}, "enorm");
  const BufferView h = b.norm_rope(trunk, {.cols = c.hidden_size, .weight = mtp.hnorm, .rows = copies}, "hnorm");
  const BufferView projected_e = b.linear(mtp.e_proj, b.quantised(e, c.hidden_size, "enorm"), "e_proj");
  const BufferView projected_h =
      b.linear(mtp.h_proj, b.quantised(h, c.hidden_size, "hnorm", copies), "h_proj", {.rows = copies});
  b.add(kernels::add_broadcast_f32(), pack_params(AddParams{.cols = c.hidden_size, .copies = c.hc_mult}),
        {projected_h, projected_e, stream}, "add");
}

}  // namespace nibble
