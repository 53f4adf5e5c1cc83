// indexer_scores_f32 on the host's processor; compiled once per instruction set.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/kv_entry_cpu.h"
#include "shaders/common/lanes_cpu.h"
#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32.h"

namespace nibble {

CpuKernel indexer_scores_f32_avx512();
CpuKernel indexer_scores_f32_avx512_dot();  // x86-64 only

namespace {

constexpr uint32_t kIndexerTile = 1024;  // entries of one item: decoding the queries (64 x 128) is then 6 % of the work
constexpr uint32_t kIndexerMaxDim = 512;

uint32_t indexer_tiles(const CpuArgs& args, uint32_t ratio) {
  return GridDim::visible(ratio, kIndexerTile).evaluate(args.step);
}

uint64_t indexer_scores_items(const CpuArgs& args) {
  const auto p = args.get<IndexerScoresParams>();
  const uint64_t tokens = GridDim::tokens_from(p.first_token, p.max_tokens).evaluate(args.step);
  return tokens * indexer_tiles(args, p.ratio);
}

void score_tile(const CpuArgs& args, const IndexerScoresParams& p, uint32_t t, uint32_t begin, uint32_t end) {
  std::vector<float> queries(size_t{p.heads} * p.dim);
  const uint32_t* q = args.bindings[0].as<uint32_t>() + size_t{t} * p.heads * p.key_words;
  for (uint32_t h = 0; h < p.heads; ++h) {
    decode_indexer_key(queries.data() + size_t{h} * p.dim, q + size_t{h} * p.key_words, p.dim, p.format);
  }
  const float* g = args.bindings[2].as<float>() + size_t{t} * p.heads;
  float* scores = args.bindings[3].as<float>() + size_t{t - p.first_token} * p.stride;
  float key[kIndexerMaxDim];
  for (uint32_t j = begin; j < end; ++j) {
    const std::byte* item = args.bindings[1].item(j, uint64_t{p.key_words} * 4);
    decode_indexer_key(key, reinterpret_cast<const uint32_t*>(item), p.dim, p.format);
    float score = 0;
    for (uint32_t h = 0; h < p.heads; ++h) {
      score += g[h] * p.g_scale * std::max(dot_lanes(queries.data() + size_t{h} * p.dim, key, p.dim), 0.0f);
    }
    scores[j] = score;
  }
}

void indexer_scores_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<IndexerScoresParams>();
  const uint32_t tiles = indexer_tiles(args, p.ratio);
  for (uint64_t item = begin; item < end; ++item) {
    const auto t = p.first_token + static_cast<uint32_t>(item / tiles);
    const uint32_t first = static_cast<uint32_t>(item % tiles) * kIndexerTile;
    const uint32_t last = std::min(first + kIndexerTile, (args.step.position + t + 1) / p.ratio);
    if (first < last) score_tile(args, p, t, first, last);
  }
}

}  // namespace
}  // namespace nibble
