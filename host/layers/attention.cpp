#include "host/layers/layers.h"
#include "runtime/core/kernel_table.h"
#include "shaders/attention/attention_join_f32/attention_join_f32.h"
#include "shaders/attention/attention_parts_f32/attention_parts_f32.h"
#include "shaders/attention/encode_kv_f32/encode_kv_f32.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

enum AttentionMode : uint32_t { kWindowOnly = 0, kAllEntries = 1, kChosenEntries = 2 };

void encode_entries(Builder& b, const AttentionContext& context, const BufferView& rows, const Binding& to,
                    uint32_t ratio, uint32_t capacity, const std::string& name) {
  const EncodeKvParams params{.dim = b.config().head_dim,
                              .rope = b.config().qk_rope_head_dim,
                              .format = context.format.entry,
                              .entry_words = context.format.entry_words,
                              .ratio = ratio,
                              .entry_capacity = capacity};
  b.add(kernels::encode_kv_f32(), pack_params(params), {rows, to}, name);
}

// One entry per token, keys and values in one: u32 [T, entry_words]. They reach the ring only after attention: with a
// chunk longer than the window its first queries still need what its last tokens will overwrite.
BufferView append_window_entries(Builder& b, const AttentionContext& context, const Activations& x_fp8) {
  const ModelConfig& c = b.config();
  const BufferView kv = b.linear(context.weights.wkv, x_fp8, "wkv");
  const BufferView rotated = b.norm_rope(kv,
                                         {.cols = c.head_dim,
                                          .weight = context.weights.kv_norm,
                                          .rope = c.qk_rope_head_dim,
                                          .rope_at = b.step().rope_at(context.ratio)},
                                         "kv");
  BufferView entries = b.words(1, context.format.entry_words, "kv.entries");
  encode_entries(b, context, rotated, Binding({entries}, b.max_tokens()), 0, b.max_tokens(), "encode_kv");
  return entries;
}

// Queries [T, H, d]: each head divided by its own RMS, then rotated.
BufferView append_queries(Builder& b, const AttentionContext& context, const Activations& q_a) {
  const ModelConfig& c = b.config();
  const BufferView q = b.linear(context.weights.wq_b, q_a, "wq_b");
  return b.norm_rope(q,
                     {.cols = c.head_dim,
                      .rope = c.qk_rope_head_dim,
                      .rope_at = b.step().rope_at(context.ratio),
                      .rows = {.rows_per_token = c.num_attention_heads}},
                     "q");
}

// Attention by parts of the entries: `inputs` are its bindings up to the ids.
void append_in_parts(Builder& b, const AttentionPartsParams& params, std::vector<Binding> inputs,
                     const BufferView& sinks, const BufferView& o) {
  const AttentionParams& p = params.attention;
  const Rows rows{.rows_per_token = p.heads * params.parts};
  const BufferView parts = b.temporary(rows, p.dim, "o.parts");
  const BufferView stats = b.temporary(rows, 2, "o.stats");
  inputs.insert(inputs.end(), {parts, stats});
  b.add(kernels::attention_parts_f32(), pack_params(params), std::move(inputs), "attention.parts");
  const AttentionJoinParams join{
      .heads = p.heads, .dim = p.dim, .rope = p.rope, .rope_at = p.rope_at, .parts = params.parts};
  b.add(kernels::attention_join_f32(), pack_params(join), {parts, stats, sinks, o}, "attention.join");
}

// Grouped output projection: group g of the heads meets its own rows of wo_a; its input is not rounded.
BufferView append_output(Builder& b, const AttentionContext& context, const BufferView& o) {
  const ModelConfig& c = b.config();
  const BufferView u = b.linear(context.weights.wo_a, o, "wo_a", {.group_rows = c.o_lora_rank});
  return b.linear(context.weights.wo_b, b.quantised(u, c.o_groups * c.o_lora_rank, "wo_a"), "wo_b");
}

}  // namespace

BufferView append_attention(Builder& b, const AttentionContext& context, const BufferView& x, LayerTaps& taps) {
  const ModelConfig& c = b.config();
  const DeviceAttention& w = context.weights;
  const Activations x_fp8 = b.quantised(x, c.hidden_size, "x");
  const BufferView q_low = b.linear(w.wq_a, x_fp8, "wq_a");
  const Activations q_a =
      b.quantised(b.norm_rope(q_low, {.cols = c.q_lora_rank, .weight = w.q_norm}, "q_norm"), c.q_lora_rank, "q_norm");
  const BufferView q = append_queries(b, context, q_a);
  const BufferView window = append_window_entries(b, context, x_fp8);

  uint32_t mode = kWindowOnly;
  Binding entries({context.kv.ring}, c.sliding_window);  // not read without compressed entries
  BufferView ids = context.kv.ring;                      // not read unless entries are chosen
  if (w.compressor && b.attends_to_entries()) {
    const BufferView rows = append_compressor(b, *w.compressor, context.kv.compressor, x, "compressor");
    encode_entries(b, context, rows, context.kv.entries, context.ratio, context.kv.entry_capacity, "compressor.encode");
    entries = context.kv.entries;
    mode = kAllEntries;
  }
  if (w.indexer && b.attends_to_entries()) {
    ids = append_indexer(b, context, x, q_a);
    taps.index_ids = ids;
    mode = kChosenEntries;
  }

  BufferView o = b.temporary({.rows_per_token = c.num_attention_heads}, c.head_dim, "o");
  const AttentionParams params{.heads = c.num_attention_heads,
                               .dim = c.head_dim,
                               .rope = c.qk_rope_head_dim,
                               .rope_at = b.step().rope_at(context.ratio),
                               .window = c.sliding_window,
                               .format = context.format.entry,
                               .entry_words = context.format.entry_words,
                               .mode = mode,
                               .ratio = context.ratio,
                               .k = c.index_topk,
                               // Entries with rotated dims of 16 bits are exact in bf16: queries need no more.
                               .coarse = context.format.entry == kEntryFp8 ? 1u : 0u};
  const uint64_t compressed = mode == kChosenEntries ? c.index_topk
                              : mode == kAllEntries  ? context.kv.entry_capacity
                                                     : 0;
  const uint32_t parts = b.attention_parts(c.sliding_window + compressed);
  if (parts > 1) {
    append_in_parts(b, {.attention = params, .parts = parts}, {q, window, context.kv.ring, entries, ids}, w.sinks, o);
  } else {
    b.add(kernels::attention_f32(), pack_params(params), {q, window, context.kv.ring, entries, ids, w.sinks, o},
          "attention");
  }
  b.commit(window, context.kv.ring, context.format.entry_words, c.sliding_window, "kv.ring");
  return append_output(b, context, o);
}

}  // namespace nibble
