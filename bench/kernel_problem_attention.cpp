// Attention, the indexer and the compressor at the sizes of V4-Flash.
#include <algorithm>
#include <bit>
#include <cmath>

#include "bench/kernel_problem.h"
#include "shaders/attention/attention_f32/attention_cases.h"
#include "shaders/attention/attention_join_f32/attention_join_f32.h"
#include "shaders/attention/attention_parts_f32/attention_parts_f32.h"
#include "shaders/attention/encode_kv_f32/encode_kv_f32.h"
#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"
#include "shaders/compressor/compress_pool_f32/compress_pool_f32.h"
#include "shaders/indexer/encode_index_f32/encode_index_f32.h"
#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32.h"
#include "shaders/indexer/topk_f32/topk_f32.h"
#include "shaders/indexer/topk_join_u32/topk_join_u32.h"
#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32.h"

namespace nibble::bench {
namespace {

constexpr uint32_t kRatio = 4;

template <typename P>
using Make = CaseData (*)(const P& params, const ProblemRequest& request, Rng& rng);

template <typename P>
ProblemShape shape(std::string name, const P& defaults, Make<P> make) {
  return {std::move(name), [=](const KernelSpec& kernel, const ProblemRequest& request, Rng& rng) {
            return make(unpack_params<P>(overridden(pack_params(defaults), kernel, request)), request, rng);
          }};
}

StepHeader header_of(const ProblemRequest& request) {
  return {.n_tokens = request.tokens, .position = request.position, .n_logits = request.tokens};
}

// Header, then a rope table of `rows` rows: cosine and sine of random angles.
std::vector<uint32_t> step_with_rope(const ProblemRequest& request, size_t rows, uint32_t rope, Rng& rng) {
  std::vector<uint32_t> table;
  for (size_t i = 0; i < rows * rope / 2; ++i) {
    const double angle = rng.uniform(-3.2, 3.2);
    table.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    table.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  return spec::step_words(header_of(request), table);
}

uint32_t visible(const ProblemRequest& request, uint32_t ratio) {
  return std::max(1u, (request.position + request.tokens) / ratio);
}

// Compressed entries that the chunk completes, at least one row.
size_t completed(const ProblemRequest& request, uint32_t ratio) {
  return std::max(1u, (request.position + request.tokens) / ratio - request.position / ratio);
}

// n, then n ascending ids spread over what the token sees.
std::vector<uint32_t> spread_ids(const ProblemRequest& request, uint32_t k, uint32_t ratio, Rng& rng) {
  std::vector<uint32_t> ids;
  for (uint32_t t = 0; t < request.tokens; ++t) {
    const uint32_t seen = (request.position + t + 1) / ratio;
    const uint32_t count = std::min(k, seen);
    ids.push_back(count);
    const uint32_t gap = count == 0 ? 1 : seen / count;
    for (uint32_t i = 0; i < count; ++i) ids.push_back(i * gap + rng.below(gap));
    ids.resize(size_t{t + 1} * (k + 1), 0);
  }
  return ids;
}

// Step, and the bindings up to the ids; sets what follows from the other params.
CaseData attention_inputs(AttentionParams& p, const ProblemRequest& request, Rng& rng) {
  p.entry_words = kv_entry_words(p.dim, p.rope, p.format);
  p.rope_at = kStepHeaderWords;
  const spec::EntryShape entry = {.dim = p.dim, .rope = p.rope, .format = p.format};
  const size_t rows = size_t{request.tokens} * p.heads;
  const uint32_t entries = p.mode == kAttendWindow ? 1 : visible(request, p.ratio);
  CaseData data{.step = step_with_rope(request, request.tokens, p.rope, rng)};
  data.bindings.push_back({.content = random_floats(rng, rows * p.dim)});
  for (const uint32_t count : {request.tokens, std::max(1u, p.window)}) {
    data.bindings.push_back({.content = spec::to_bytes(spec::random_entries(rng, count, entry))});
  }
  data.bindings.push_back(spec::slabs(spec::random_entries(rng, entries, entry), p.entry_words));
  const bool by_ids = p.mode == kAttendIds;
  data.bindings.push_back(
      {.content = by_ids ? spec::to_bytes(spread_ids(request, p.k, p.ratio, rng)) : random_floats(rng, 4)});
  return data;
}

CaseData make_attention(const AttentionParams& given, const ProblemRequest& request, Rng& rng) {
  AttentionParams p = given;
  CaseData data = attention_inputs(p, request, rng);
  data.params = pack_params(p);
  data.bindings.push_back({.content = random_floats(rng, p.heads)});
  data.bindings.push_back(spec::blank(size_t{request.tokens} * p.heads * p.dim));
  data.bindings.emplace_back();
  return data;
}

CaseData make_parts(const AttentionPartsParams& given, const ProblemRequest& request, Rng& rng) {
  AttentionPartsParams p = given;
  CaseData data = attention_inputs(p.attention, request, rng);
  const uint64_t longest = spec::attended_count(p.attention, request.position + request.tokens - 1);
  const uint64_t fitting = (longest + kAttentionPartEntries - 1) / kAttentionPartEntries;
  p.parts = static_cast<uint32_t>(std::clamp<uint64_t>(fitting, 1, p.parts));
  data.params = pack_params(p);
  const size_t rows = size_t{request.tokens} * p.attention.heads * p.parts;
  data.bindings.push_back(spec::blank(rows * p.attention.dim));
  data.bindings.push_back(spec::blank(rows * 2));
  data.bindings.emplace_back();
  return data;
}

CaseData make_join(const AttentionJoinParams& given, const ProblemRequest& request, Rng& rng) {
  AttentionJoinParams p = given;
  p.rope_at = kStepHeaderWords;
  const size_t rows = size_t{request.tokens} * p.heads;
  CaseData data{.params = pack_params(p), .step = step_with_rope(request, request.tokens, p.rope, rng)};
  data.bindings.push_back({.content = random_floats(rng, rows * p.parts * p.dim)});
  std::vector<float> stats;
  for (size_t i = 0; i < rows * p.parts; ++i) {
    stats.push_back(static_cast<float>(rng.uniform(-5, 5)));
    stats.push_back(static_cast<float>(rng.uniform(1, 16)));
  }
  data.bindings.push_back({.content = spec::to_bytes(stats)});
  data.bindings.push_back({.content = random_floats(rng, p.heads)});
  data.bindings.push_back(spec::blank(rows * p.dim));
  data.bindings.emplace_back();
  return data;
}

CaseData make_indexer(const IndexerScoresParams& given, const ProblemRequest& request, Rng& rng) {
  IndexerScoresParams p = given;
  p.key_words = indexer_key_words(p.dim, p.format);
  p.stride = std::max(p.stride, visible(request, p.ratio));
  const size_t rows = size_t{request.tokens} * p.heads;
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = spec::to_bytes(spec::random_keys(rng, rows, p.dim, p.format))});
  data.bindings.push_back(spec::slabs(spec::random_keys(rng, visible(request, p.ratio), p.dim, p.format), p.key_words));
  data.bindings.push_back({.content = random_floats(rng, rows)});
  data.bindings.push_back({.content = random_floats(rng, size_t{request.tokens} * p.stride)});
  data.bindings.emplace_back();
  return data;
}

CaseData make_topk(const TopkParams& given, const ProblemRequest& request, Rng& rng) {
  TopkParams p = given;
  p.stride = std::max(p.stride, visible(request, p.ratio));
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{request.tokens} * p.stride))});
  data.bindings.push_back(spec::blank(size_t{request.tokens} * (p.k + 1)));
  data.bindings.emplace_back();
  return data;
}

TopkPartsParams with_stride(TopkPartsParams p, const ProblemRequest& request) {
  p.stride = std::max(p.stride, visible(request, p.ratio));
  return p;
}

size_t part_words(const TopkPartsParams& p, const ProblemRequest& request) {
  return size_t{request.tokens} * topk_parts(p) * p.k;
}

CaseData make_topk_parts(const TopkPartsParams& given, const ProblemRequest& request, Rng& rng) {
  const TopkPartsParams p = with_stride(given, request);
  const size_t scores = size_t{request.tokens} * p.stride;
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, scores))});
  data.bindings.push_back(spec::blank(part_words(p, request)));
  data.bindings.push_back(spec::blank(part_words(p, request)));
  data.bindings.emplace_back();
  return data;
}

CaseData make_topk_join(const TopkJoinParams& given, const ProblemRequest& request, Rng& rng) {
  const TopkJoinParams p = with_stride(given, request);
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = random_floats(rng, part_words(p, request))});
  data.bindings.push_back({.content = random_floats(rng, part_words(p, request))});
  data.bindings.push_back(spec::blank(size_t{request.tokens} * (p.k + 1)));
  data.bindings.emplace_back();
  return data;
}

CaseData make_compress(const CompressPoolParams& p, const ProblemRequest& request, Rng& rng) {
  const size_t columns = size_t{p.width} * (p.overlap != 0 ? 2 : 1);
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = random_floats(rng, request.tokens * 2 * columns)});
  data.bindings.push_back({.content = random_floats(rng, p.ratio * columns)});
  data.bindings.push_back({.content = random_floats(rng, p.slots * 2 * columns)});
  data.bindings.push_back(spec::blank(completed(request, p.ratio) * p.width));
  data.bindings.emplace_back();
  return data;
}

CaseData make_encode_kv(const EncodeKvParams& given, const ProblemRequest& request, Rng& rng) {
  EncodeKvParams p = given;
  p.entry_words = kv_entry_words(p.dim, p.rope, p.format);
  p.entry_capacity = p.ratio == 0 ? request.tokens : visible(request, p.ratio);
  const size_t rows = p.ratio == 0 ? request.tokens : completed(request, p.ratio);
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = random_floats(rng, rows * p.dim)});
  data.bindings.push_back(
      {.content = random_floats(rng, size_t{p.entry_capacity} * p.entry_words), .item_bytes = p.entry_words * 4});
  data.bindings.emplace_back();
  return data;
}

CaseData make_encode_index(const EncodeIndexParams& given, const ProblemRequest& request, Rng& rng) {
  EncodeIndexParams p = given;
  p.key_words = indexer_key_words(p.dim, p.format);
  const size_t rows = p.ratio == 0 ? size_t{request.tokens} * p.rows_per_token : completed(request, p.ratio);
  const size_t items = p.ratio == 0 ? rows : visible(request, p.ratio);
  CaseData data{.params = pack_params(p), .step = spec::step_words(header_of(request))};
  data.bindings.push_back({.content = random_floats(rng, rows * p.dim)});
  data.bindings.push_back({.content = random_floats(rng, items * p.key_words), .item_bytes = p.key_words * 4});
  data.bindings.emplace_back();
  return data;
}

CaseData make_norm(const RmsNormRopeParams& given, const ProblemRequest& request, Rng& rng) {
  RmsNormRopeParams p = given;
  p.rope_at = kStepHeaderWords;
  const size_t rows = size_t{request.tokens} * p.rows_per_token;
  CaseData data{.params = pack_params(p), .step = step_with_rope(request, request.tokens, p.rope, rng)};
  data.bindings.push_back({.content = random_floats(rng, rows * p.cols)});
  data.bindings.push_back({.content = random_floats(rng, p.cols)});
  data.bindings.push_back(spec::blank(rows * p.cols));
  data.bindings.emplace_back();
  return data;
}

}  // namespace

void add_attention_problems(ProblemTable& table) {
  const AttentionParams base = {.heads = 64, .dim = 512, .rope = 64, .window = 128, .format = kEntryFp8, .coarse = 1};
  AttentionParams ids = base;
  ids.mode = kAttendIds;
  ids.ratio = kRatio;
  ids.k = 512;
  AttentionParams all = base;
  all.mode = kAttendVisible;
  all.ratio = 128;
  table["attention_f32"] = {shape("window", base, make_attention), shape("sparse", ids, make_attention),
                            shape("compressed", all, make_attention)};
  const auto in_parts = [](const AttentionParams& p) {
    return AttentionPartsParams{.attention = p, .parts = kAttentionMaxParts};
  };
  table["attention_parts_f32"] = {shape("window", in_parts(base), make_parts),
                                  shape("sparse", in_parts(ids), make_parts),
                                  shape("compressed", in_parts(all), make_parts)};
  table["attention_join_f32"] = {
      shape<AttentionJoinParams>("sparse", {.heads = 64, .dim = 512, .rope = 64, .parts = 40}, make_join)};
  table["indexer_scores_f32"] = {shape<IndexerScoresParams>(
      "indexer", {.heads = 64, .dim = 128, .format = kKeyFp4, .ratio = kRatio, .g_scale = 0.011f}, make_indexer)};
  table["topk_f32"] = {shape<TopkParams>("indexer", {.k = 512, .ratio = kRatio}, make_topk)};
  const TopkPartsParams in_stretches = {.k = 512, .ratio = kRatio, .part_length = kTopkPartLength};
  table["topk_parts_f32"] = {shape("indexer", in_stretches, make_topk_parts)};
  table["topk_join_u32"] = {shape("indexer", in_stretches, make_topk_join)};
  table["compress_pool_f32"] = {
      shape<CompressPoolParams>("ratio 4", {.width = 512, .ratio = 4, .overlap = 1, .slots = 8}, make_compress),
      shape<CompressPoolParams>("ratio 128", {.width = 512, .ratio = 128, .slots = 128}, make_compress)};
  table["encode_kv_f32"] = {
      shape<EncodeKvParams>("window", {.dim = 512, .rope = 64, .format = kEntryFp8}, make_encode_kv)};
  table["encode_index_f32"] = {
      shape<EncodeIndexParams>("query", {.dim = 128, .format = kKeyFp4, .rows_per_token = 64}, make_encode_index)};
  table["rms_norm_rope_f32"] = {
      shape<RmsNormRopeParams>("q_norm", {.cols = 1024, .norm_mode = kNormWeighted, .eps = 1e-6f}, make_norm),
      shape<RmsNormRopeParams>(
          "heads", {.cols = 512, .rope = 64, .norm_mode = kNormPlain, .rows_per_token = 64, .eps = 1e-6f}, make_norm)};
}

}  // namespace nibble::bench
