// Scores of e2m1 keys of 128 dims with integer dot products: twice an e2m1 value is an integer, and the sums over the
// 32 dims of a pair of scales are exact. Everything else goes the way of indexer_scores_f32_cpu.h.
//
// vpdpbusd wants one unsigned operand: keys are stored as 2·value + 12, and every sum starts at -12·Σq. Heads are the
// lanes; a tile of decoded keys serves a block of tokens.
#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)

#include "shaders/common/packed_dot_cpu_int8.h"
#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32_cpu.h"

namespace nibble {
namespace {

constexpr uint32_t kDim = 128;
constexpr uint32_t kBlocks = kDim / kKeyBlock;
constexpr uint32_t kTogether = 6;     // keys: with two vectors of heads 12 integer sums and 12 scaled ones
constexpr uint32_t kKeys = 96;        // decoded at a time: 12 KiB, beside the 10 KiB of a token's queries in L1
constexpr uint32_t kItemKeys = 288;   // 20 us for one token
constexpr uint32_t kItemTokens = 16;  // their queries stay in L2

// Scale codes whose products of two are normal numbers, as are those times the sums.
constexpr uint32_t kLeastKeyScale = 96;
constexpr uint32_t kMostKeyScale = 158;

// 16 heads of a token. Word 8b + 4h + i holds the four dims of dword 4b + i of the codes' low (h = 0) or high nibbles.
struct alignas(64) QueryVector {
  uint32_t words[kDim / 4][16];
  int32_t starts[kBlocks][16];   // -12·Σ of the block
  uint32_t scales[kBlocks][16];  // bits of the block's scale
  float weights[16];             // of the head, quartered: both factors are doubled
};

struct KeyTile {
  alignas(64) uint32_t words[kKeys][kDim / 4];    // dword i of the low nibbles, 16 + i of the high ones
  alignas(16) int32_t exponents[kKeys][kBlocks];  // what a key's scale adds to the bits of a query's
};

bool is_packed(const IndexerScoresParams& p) { return p.dim == kDim && p.format == kKeyFp4; }

uint32_t vectors_of(const IndexerScoresParams& p) { return (p.heads + 15) / 16; }

uint32_t tokens_of(const CpuArgs& args, const IndexerScoresParams& p) {
  return GridDim::tokens_from(p.first_token, p.max_tokens).evaluate(args.step);
}

// The scratch: for each token whether its scales are usual, then its queries.
size_t flag_bytes(uint32_t tokens) { return (tokens * sizeof(uint32_t) + 63) / 64 * 64; }

QueryVector* queries_of(const CpuArgs& args, const IndexerScoresParams& p, uint32_t token) {
  auto* first = reinterpret_cast<QueryVector*>(args.scratch.data() + flag_bytes(tokens_of(args, p)));
  return first + size_t{token} * vectors_of(p);
}

bool usual_scales(const uint8_t* scales) {
  uint32_t outside = 0;
  for (uint32_t b = 0; b < kBlocks; ++b) {
    outside |= static_cast<uint8_t>(scales[b] - kLeastKeyScale) > kMostKeyScale - kLeastKeyScale ? 1u : 0u;
  }
  return outside == 0;
}

// Heads [head, head + 16) of a token. False if a scale is unusual.
bool pack_vector(QueryVector& to, const uint32_t* q, const float* g, const IndexerScoresParams& p, uint32_t head) {
  __m512i halves[2][16];
  bool usual = true;
  for (uint32_t h = 0; h < 16; ++h) {
    const bool inside = head + h < p.heads;
    const uint32_t* row = q + size_t{head + h} * p.key_words;
    halves[0][h] = halves[1][h] = _mm512_setzero_si512();
    if (inside) {
      __m512i values[2];
      int8_weights(_mm512_loadu_si512(row), values);
      for (uint32_t half = 0; half < 2; ++half) halves[half][h] = _mm512_sub_epi8(values[half], _mm512_set1_epi8(12));
      const auto* scales = reinterpret_cast<const uint8_t*>(row + kDim / 8);
      usual = usual_scales(scales) && usual;
      for (uint32_t b = 0; b < kBlocks; ++b) to.scales[b][h] = uint32_t{scales[b]} << 23;
    } else {
      for (uint32_t b = 0; b < kBlocks; ++b) to.scales[b][h] = 127u << 23;
    }
    to.weights[h] = inside ? g[head + h] * p.g_scale * 0.25f : 0.0f;
  }
  for (__m512i* half : {halves[0], halves[1]}) transpose(half);
  for (uint32_t b = 0; b < kBlocks; ++b) {
    __m512i starts = _mm512_setzero_si512();
    for (uint32_t i = 0; i < 8; ++i) {
      const __m512i word = halves[i / 4][b * 4 + i % 4];
      starts = _mm512_dpbusd_epi32(starts, _mm512_set1_epi8(12), word);
      _mm512_store_si512(to.words[b * 8 + i], word);
    }
    _mm512_store_si512(to.starts[b], _mm512_sub_epi32(_mm512_setzero_si512(), starts));
  }
  return usual;
}

// Keys [begin, begin + count); up to the next whole group the last one is repeated. False if a scale is unusual.
bool decode_keys(KeyTile& tile, const CpuBinding& keys, uint32_t begin, uint32_t count) {
  constexpr size_t kKeyBytes = kDim / 2 + kBlocks;
  uint32_t i = 0;
  const std::byte* key = nullptr;
  __m128i most = _mm_setzero_si128();
  const auto decode = [&] {
    __m512i weights[2];
    int8_weights(_mm512_loadu_si512(key), weights);
    _mm512_store_si512(tile.words[i], weights[0]);
    _mm512_store_si512(tile.words[i] + 16, weights[1]);
    const __m128i scales = _mm_loadu_si32(key + kDim / 2);
    most = _mm_max_epu8(most, _mm_sub_epi8(scales, _mm_set1_epi8(kLeastKeyScale)));
    const __m128i exponents = _mm_sub_epi32(_mm_cvtepu8_epi32(scales), _mm_set1_epi32(127));
    _mm_store_si128(reinterpret_cast<__m128i*>(tile.exponents[i]), _mm_slli_epi32(exponents, 23));
  };
  while (i < count) {
    const uint64_t left_in_slab = keys.items_per_slab - (begin + i) % keys.items_per_slab;
    const auto end = static_cast<uint32_t>(std::min<uint64_t>(count, i + left_in_slab));
    for (key = keys.item(begin + i, kKeyBytes); i < end; ++i, key += kKeyBytes) decode();
  }
  for (key -= kKeyBytes; i % kTogether != 0; ++i) decode();
  alignas(16) uint8_t above[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(above), most);
  return *std::max_element(above, above + kBlocks) <= kMostKeyScale - kLeastKeyScale;
}

// sums[i] (+)= Σ over the lanes' heads of weight·relu(q·k) for kTogether keys from `first` on; V vectors of heads.
template <uint32_t V>
void score_keys(const QueryVector* q, const KeyTile& tile, uint32_t first, bool add, float (*sums)[16]) {
  __m512 dots[kTogether][V];
#pragma GCC unroll 4
  for (uint32_t b = 0; b < kBlocks; ++b) {
    __m512i integers[kTogether][V];
#pragma GCC unroll 8
    for (uint32_t k = 0; k < kTogether; ++k) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < V; ++v) integers[k][v] = _mm512_load_si512(q[v].starts[b]);
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < 8; ++i) {
      __m512i words[V];
#pragma GCC unroll 8
      for (uint32_t v = 0; v < V; ++v) words[v] = _mm512_load_si512(q[v].words[b * 8 + i]);
#pragma GCC unroll 8
      for (uint32_t k = 0; k < kTogether; ++k) {
        const __m512i key = _mm512_set1_epi32(static_cast<int>(tile.words[first + k][i / 4 * 16 + b * 4 + i % 4]));
#pragma GCC unroll 8
        for (uint32_t v = 0; v < V; ++v) integers[k][v] = _mm512_dpbusd_epi32(integers[k][v], key, words[v]);
      }
    }
#pragma GCC unroll 8
    for (uint32_t v = 0; v < V; ++v) {
      const __m512i scales = _mm512_load_si512(q[v].scales[b]);
#pragma GCC unroll 8
      for (uint32_t k = 0; k < kTogether; ++k) {
        const __m512i scale = _mm512_add_epi32(scales, _mm512_set1_epi32(tile.exponents[first + k][b]));
        const __m512 products = _mm512_cvtepi32_ps(integers[k][v]);
        dots[k][v] = b == 0 ? _mm512_mul_ps(products, _mm512_castsi512_ps(scale))
                            : _mm512_fmadd_ps(products, _mm512_castsi512_ps(scale), dots[k][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (uint32_t k = 0; k < kTogether; ++k) {
    __m512 sum = add ? _mm512_load_ps(sums[first + k]) : _mm512_setzero_ps();
#pragma GCC unroll 8
    for (uint32_t v = 0; v < V; ++v) {
      const __m512 positive = _mm512_max_ps(_mm512_setzero_ps(), dots[k][v]);  // NaN stays: it is the second
      sum = _mm512_fmadd_ps(positive, _mm512_load_ps(q[v].weights), sum);
    }
    _mm512_store_ps(sums[first + k], sum);
  }
}

// Scores of one token for the first `count` keys of a tile.
void score_token(float* scores, const QueryVector* q, uint32_t vectors, const KeyTile& tile, uint32_t count) {
  alignas(64) float sums[kKeys][16];
  for (uint32_t v = 0; v < vectors; v += 2) {
    const auto score = v + 1 < vectors ? score_keys<2> : score_keys<1>;
    for (uint32_t k = 0; k < count; k += kTogether) score(q + v, tile, k, v > 0, sums);
  }
  for (uint32_t k = 0; k < count; k += 16) {
    __m512i lanes[16];
    for (uint32_t i = 0; i < 16; ++i) lanes[i] = _mm512_load_si512(sums[k + i]);
    transpose(lanes);
    for (uint32_t span = 8; span > 0; span /= 2) {
      for (uint32_t i = 0; i < span; ++i) {
        lanes[i] =
            _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(lanes[i]), _mm512_castsi512_ps(lanes[i + span])));
      }
    }
    _mm512_mask_storeu_ps(scores + k, lanes_below(count - k), _mm512_castsi512_ps(lanes[0]));
  }
}

// Keys [begin, end) for tokens [first, last) of those that get scores.
void score_block(const CpuArgs& args, const IndexerScoresParams& p, uint32_t first, uint32_t last, uint32_t begin,
                 uint32_t end) {
  const auto visible = [&](uint32_t token) { return (args.step.position + p.first_token + token + 1) / p.ratio; };
  const auto* token_is_usual = reinterpret_cast<const uint32_t*>(args.scratch.data());
  end = std::min(end, visible(last - 1));
  KeyTile tile;
  for (uint32_t key = begin; key < end; key += kKeys) {
    const bool usual = decode_keys(tile, args.bindings[1], key, std::min(kKeys, end - key));
    for (uint32_t token = first; token < last; ++token) {
      if (visible(token) <= key) continue;
      const uint32_t count = std::min({kKeys, end - key, visible(token) - key});
      if (!usual || token_is_usual[token] == 0) {
        score_tile(args, p, p.first_token + token, key, key + count);
        continue;
      }
      float* scores = args.bindings[3].as<float>() + size_t{token} * p.stride + key;
      score_token(scores, queries_of(args, p, token), vectors_of(p), tile, count);
    }
  }
}

uint64_t prepare_items(const CpuArgs& args) {
  const auto p = args.get<IndexerScoresParams>();
  return is_packed(p) ? tokens_of(args, p) : 0;
}

uint64_t scratch_bytes(const CpuArgs& args) {
  const auto p = args.get<IndexerScoresParams>();
  const uint32_t tokens = tokens_of(args, p);
  return flag_bytes(tokens) + uint64_t{tokens} * vectors_of(p) * sizeof(QueryVector);
}

void prepare(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<IndexerScoresParams>();
  auto* token_is_usual = reinterpret_cast<uint32_t*>(args.scratch.data());
  for (auto token = static_cast<uint32_t>(begin); token < end; ++token) {
    const size_t row = size_t{p.first_token + token} * p.heads;
    QueryVector* to = queries_of(args, p, token);
    bool usual = true;
    for (uint32_t v = 0; v < vectors_of(p); ++v) {
      usual = pack_vector(to[v], args.bindings[0].as<uint32_t>() + row * p.key_words,
                          args.bindings[2].as<float>() + row, p, v * 16) &&
              usual;
    }
    token_is_usual[token] = usual ? 1 : 0;
  }
}

uint32_t key_items(const CpuArgs& args, const IndexerScoresParams& p) {
  return GridDim::visible(p.ratio, kItemKeys).evaluate(args.step);
}

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<IndexerScoresParams>();
  if (!is_packed(p)) return indexer_scores_items(args);
  return uint64_t{(tokens_of(args, p) + kItemTokens - 1) / kItemTokens} * key_items(args, p);
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<IndexerScoresParams>();
  if (!is_packed(p)) return indexer_scores_run(args, begin, end);
  const uint32_t per_block = key_items(args, p);
  for (uint64_t item = begin; item < end; ++item) {
    const auto first = static_cast<uint32_t>(item / per_block) * kItemTokens;
    const auto key = static_cast<uint32_t>(item % per_block) * kItemKeys;
    score_block(args, p, first, std::min(first + kItemTokens, tokens_of(args, p)), key, key + kItemKeys);
  }
}

}  // namespace

CpuKernel indexer_scores_f32_avx512_dot() {
  return {.kernel = "indexer_scores_f32",
          .variant = "avx512_dot",
          .isa = CpuIsa::kAvx512Dot,
          .items = items,
          .run = run,
          .scratch_bytes = scratch_bytes,
          .prepare_items = prepare_items,
          .prepare = prepare};
}

}  // namespace nibble

#endif
