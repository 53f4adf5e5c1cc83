#include "host/layers/layers.h"
#include "runtime/core/kernel_table.h"
#include "shaders/compressor/compress_pool_f32/compress_pool_f32.h"

namespace nibble {

BufferView append_compressor(Builder& b, const DeviceCompressor& compressor, const CompressorState& state,
                             const BufferView& x, const std::string& name) {
  const uint32_t columns = compressor.overlap ? 2 * compressor.width : compressor.width;
  // a = wkv x and z = wgate x side by side in one row, so that one copy keeps both for the open window.
  BufferView az = b.temporary({}, 2 * columns, name + ".az");
  b.linear(compressor.wkv, x, az, name + ".wkv", {.y_stride = 2 * columns});
  b.linear(compressor.wgate, x, az, name + ".wgate", {.y_stride = 2 * columns, .y_offset = columns});

  BufferView pooled = b.temporary({}, compressor.width, name + ".pooled");
  const CompressPoolParams params{.width = compressor.width,
                                  .ratio = compressor.ratio,
                                  .overlap = compressor.overlap ? 1u : 0u,
                                  .slots = state.slots};
  b.add(kernels::compress_pool_f32(), pack_params(params), {az, compressor.ape, state.rows, pooled}, name + ".pool");
  // After the pool: it still needs the rows of earlier chunks that this overwrites.
  b.commit(az, state.rows, 2 * columns, state.slots, name + ".state");
  return b.norm_rope(pooled,
                     {.cols = compressor.width,
                      .weight = compressor.norm,
                      .rope = b.config().qk_rope_head_dim,
                      .rope_at = b.step().rope_entries_at.at(compressor.ratio),
                      .ratio = compressor.ratio},
                     name + ".norm");
}

}  // namespace nibble
