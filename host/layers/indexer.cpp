#include <algorithm>
#include <cmath>

#include "host/layers/layers.h"
#include "runtime/core/kernel_table.h"
#include "shaders/indexer/encode_index_f32/encode_index_f32.h"
#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32.h"
#include "shaders/indexer/topk_f32/topk_f32.h"
#include "shaders/indexer/topk_join_u32/topk_join_u32.h"

namespace nibble {
namespace {

// Keys of the windows that the chunk completes: Hadamard, FP4, into the cache.
void append_keys(Builder& b, const AttentionContext& context, const BufferView& x) {
  const DeviceIndexer& indexer = *context.weights.indexer;
  const uint32_t width = indexer.compressor.width;
  const BufferView rows = append_compressor(b, indexer.compressor, context.kv.indexer, x, "indexer.compressor");
  const EncodeIndexParams params{.dim = width,
                                 .format = context.format.key,
                                 .key_words = context.format.key_words,
                                 .ratio = context.ratio,
                                 .rows_per_token = 1};
  b.add(kernels::encode_index_f32(), pack_params(params), {rows, context.kv.keys}, "indexer.encode_keys");
}

// Queries in the keys' own format: rotation, Hadamard, FP4. u32 [T * heads, key_words].
BufferView append_queries(Builder& b, const AttentionContext& context, const Activations& q_a) {
  const ModelConfig& c = b.config();
  const BufferView q = b.linear(context.weights.indexer->wq_b, q_a, "indexer.wq_b");
  const BufferView rotated = b.norm_rope(q,
                                         {.cols = c.index_head_dim,
                                          .norm = false,
                                          .rope = c.qk_rope_head_dim,
                                          .rope_at = b.step().rope_at(context.ratio),
                                          .rows = {.rows_per_token = c.index_n_heads}},
                                         "indexer.q");
  BufferView packed = b.words(c.index_n_heads, context.format.key_words, "indexer.q.packed");
  const EncodeIndexParams params{.dim = c.index_head_dim,
                                 .format = context.format.key,
                                 .key_words = context.format.key_words,
                                 .ratio = 0,
                                 .rows_per_token = c.index_n_heads};
  b.add(kernels::encode_index_f32(), pack_params(params),
        {rotated, Binding({packed}, uint64_t{b.max_tokens()} * c.index_n_heads)}, "indexer.encode_q");
  return packed;
}

// The best of the tile's scores [tile, stride] into ids: one workgroup a token, or, where there are many, one for each
// stretch of them and one to choose among the stretches' best.
void append_best(Builder& b, const TopkParams& params, const BufferView& scores, const BufferView& ids,
                 const Rows& rows) {
  if (params.stride <= kTopkPartLength) {
    b.add(kernels::topk_f32(), pack_params(params), {scores, ids}, "indexer.topk", rows);
    return;
  }
  const TopkPartsParams parts{.k = params.k,
                              .stride = params.stride,
                              .ratio = params.ratio,
                              .first_token = params.first_token,
                              .max_tokens = params.max_tokens,
                              .part_length = std::max(kTopkPartLength, params.k)};
  const uint64_t words = uint64_t{topk_parts(parts)} * params.k;
  const BufferView keys = b.temporary(rows, words, "indexer.part_keys");
  const BufferView part_ids = b.temporary(rows, words, "indexer.part_ids");
  b.add(kernels::topk_parts_f32(), pack_params(parts), {scores, keys, part_ids}, "indexer.topk_parts", rows);
  b.add(kernels::topk_join_u32(), pack_params(parts), {keys, part_ids, ids}, "indexer.topk", rows);
}

struct IndexerQueries {
  BufferView q;  // u32 [T * heads, key_words]
  BufferView g;  // f32 [T, heads]
};

// Scores and top-k of a few tokens at a time: a whole chunk's scores would take T * context/4 floats, 512 MiB for 512
// tokens at a context of a million. The tiles, and all layers, use one buffer in turn.
void append_selection(Builder& b, const AttentionContext& context, const IndexerQueries& queries,
                      const BufferView& ids) {
  const ModelConfig& c = b.config();
  const uint32_t stride = context.kv.entry_capacity;
  const uint64_t fitting = b.max_score_bytes() / (uint64_t{stride} * sizeof(float));
  const auto tile = static_cast<uint32_t>(std::clamp<uint64_t>(fitting, 1, b.max_tokens()));
  const Rows rows{.most_tokens = tile};
  const BufferView scores = b.temporary(rows, stride, "indexer.scores");
  for (uint32_t first = 0; first < b.max_tokens(); first += tile) {
    const IndexerScoresParams params{
        .heads = c.index_n_heads,
        .dim = c.index_head_dim,
        .format = context.format.key,
        .key_words = context.format.key_words,
        .ratio = context.ratio,
        .stride = stride,
        .g_scale = 1.0f / std::sqrt(static_cast<float>(c.index_head_dim) * static_cast<float>(c.index_n_heads)),
        .first_token = first,
        .max_tokens = tile};
    b.add(kernels::indexer_scores_f32(), pack_params(params), {queries.q, context.kv.keys, queries.g, scores},
          "indexer.scores", rows);
    const TopkParams topk{
        .k = c.index_topk, .stride = stride, .ratio = context.ratio, .first_token = first, .max_tokens = tile};
    append_best(b, topk, scores, ids, rows);
  }
}

}  // namespace

BufferView append_indexer(Builder& b, const AttentionContext& context, const BufferView& x, const Activations& q_a) {
  const ModelConfig& c = b.config();
  append_keys(b, context, x);
  const BufferView q = append_queries(b, context, q_a);
  const BufferView g = b.linear(context.weights.indexer->weights_proj, x, "indexer.weights_proj");

  BufferView ids = b.words(1, uint64_t{c.index_topk} + 1, "indexer.ids");
  append_selection(b, context, {.q = q, .g = g}, ids);
  return ids;
}

}  // namespace nibble
