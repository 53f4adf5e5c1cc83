// Attention as two products of bf16 matrices. The entries of a cache with 16-bit rotated dims are exact there; queries
// and softmax weights are rounded, which `coarse` allows. Everything else goes the way of attention_f32_cpu.h.
//
// A chunk of many tokens is cut into blocks of tokens that share decoded entries. Few tokens would leave threads idle:
// each token's entries are then cut into ranges, and the ranges joined. How, depends on the step alone.
#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

#include <memory>

#include "shaders/attention/attention_f32/attention_f32_cpu.h"
#include "shaders/attention/attention_f32/attention_f32_cpu_tile.h"

namespace nibble {
namespace {

constexpr uint32_t kBlockTokens = 2;  // two tokens' queries and sums take 384 KiB of L2 beside a tile
constexpr uint32_t kFewTokens = 4;    // chunks up to this long have their entries cut into ranges
constexpr uint32_t kMostRanges = 16;
constexpr uint32_t kLeastTiles = 2;  // of a range: joining it costs as much as a tenth of a tile

bool is_coarse(const AttentionParams& p) {
  return p.coarse != 0 && p.format == kEntryFp8 && (p.dim - p.rope) % 64 == 0 && p.rope % 32 == 0 && p.dim <= kMaxDims;
}

uint32_t head_blocks(const AttentionParams& p) { return (p.heads + kBlockHeads - 1) / kBlockHeads; }

uint32_t tiles_of(uint32_t entries) { return (entries + kTileEntries - 1) / kTileEntries; }

// What tokens [first, last) of the chunk attend to: positions of the window, then compressed entries. Only a token by
// itself may have ids.
class BlockEntries {
 public:
  BlockEntries(const CpuArgs& args, const AttentionParams& p, uint32_t first, uint32_t last)
      : args_(args), p_(p), ids_(args.bindings[4].as<uint32_t>() + uint64_t{first} * (p.k + 1)) {
    const uint32_t seen = args.step.position + first + 1;
    window_begin_ = seen > p.window ? seen - p.window : 0;
    in_window_ = p.window == 0 ? 0 : args.step.position + last - window_begin_;
    others_ = others_of(last - 1);
  }

  // Tiles of the window come first.
  uint32_t tiles() const { return tiles_of(in_window_) + tiles_of(others_); }

  struct Tile {
    bool in_window;
    uint32_t begin;  // of the window or of the others
    uint32_t count;
  };
  Tile tile(uint32_t index) const {
    const bool in_window = index < tiles_of(in_window_);
    const uint32_t begin = (in_window ? index : index - tiles_of(in_window_)) * kTileEntries;
    return {in_window, begin, std::min(kTileEntries, (in_window ? in_window_ : others_) - begin)};
  }

  const uint32_t* at(const Tile& tile, uint32_t i) const {
    const uint32_t index = tile.begin + i;
    if (tile.in_window) return window_entry(args_, p_, window_begin_ + index);
    return compressed_entry(args_, p_, p_.mode == kAttendIds ? ids_[1 + index] : index);
  }

  struct Span {
    uint32_t begin;
    uint32_t end;
  };
  // Those of the tile that token t sees.
  Span visible(const Tile& tile, uint32_t t) const {
    uint32_t begin = 0;
    uint32_t end = others_of(t);
    if (tile.in_window) {
      const uint32_t seen = args_.step.position + t + 1;
      begin = (seen > p_.window ? seen - p_.window : 0) - window_begin_;
      end = seen - window_begin_;
    }
    const auto inside = [&](uint32_t i) { return i < tile.begin ? 0 : std::min(i - tile.begin, tile.count); };
    return {inside(begin), inside(end)};
  }

 private:
  uint32_t others_of(uint32_t t) const {
    if (p_.mode == kAttendIds) return ids_[0];
    return p_.mode == kAttendVisible ? (args_.step.position + t + 1) / p_.ratio : 0;
  }

  const CpuArgs& args_;
  const AttentionParams& p_;
  const uint32_t* ids_;
  uint32_t window_begin_ = 0;
  uint32_t in_window_ = 0;
  uint32_t others_ = 0;
};

struct Workspace {
  EntryTile tile;
  TileWork work;
  TokenState tokens[kBlockTokens];
};

// Decodes a tile and zeros up to the next whole group of entries. False if an entry is not for bf16.
bool decode_tile(EntryTile& to, const BlockEntries& entries, const BlockEntries::Tile& tile, const AttentionParams& p) {
  const E4m3Table table = e4m3_table(127);
  bool exact = true;
  const uint32_t count = (tile.count + kScoreEntries - 1) / kScoreEntries * kScoreEntries;
  for (uint32_t i = 0; i < count; ++i) {
    if (i < tile.count) {
      if (i + 4 < tile.count) {
        const auto* ahead = reinterpret_cast<const char*>(entries.at(tile, i + 4));
        for (uint32_t byte = 0; byte < p.entry_words * 4; byte += 64) _mm_prefetch(ahead + byte, _MM_HINT_T0);
      }
      exact = decode_row(to.rows[i], entries.at(tile, i), p.dim - p.rope, p.rope, table) && exact;
    } else {
      std::fill_n(to.rows[i], p.dim / 2, 0u);
    }
    if (i % 2 == 1) pair_rows(to, i / 2, p.dim);
  }
  return exact;
}

// Heads [head, head + 64) of a token before any entry: `largest` comes from the caller.
void start_token(TokenState& state, const CpuArgs& args, const AttentionParams& p, uint32_t t, uint32_t head) {
  const float* q = args.bindings[0].as<float>() + (size_t{t} * p.heads + head) * p.dim;
  const uint32_t heads = std::min(kBlockHeads, p.heads - head);
  for (uint32_t h = 0; h < heads; h += 16) {
    pack_queries(&state.q[0][h], kBlockHeads, q + size_t{h} * p.dim, std::min(16u, heads - h), p.dim, p.dim - p.rope);
    for (uint32_t slot = 0; slot < p.dim; ++slot) _mm512_store_ps(state.sums[slot] + h, _mm512_setzero_ps());
  }
}

// Tiles [begin, end) of a block of tokens. False if an entry is not for bf16.
bool attend_tiles(Workspace& w, const CpuArgs& args, const AttentionParams& p, uint32_t first, uint32_t last,
                  uint32_t head, uint32_t begin, uint32_t end) {
  const BlockEntries entries(args, p, first, last);
  const AttendDecoded attend = kAttendDecoded[(std::min(kBlockHeads, p.heads - head) + 15) / 16 - 1];
  const float factor = kLog2e / std::sqrt(static_cast<float>(p.dim));
  for (uint32_t i = begin; i < std::min(end, entries.tiles()); ++i) {
    const BlockEntries::Tile tile = entries.tile(i);
    if (!decode_tile(w.tile, entries, tile, p)) return false;
    for (uint32_t t = first; t < last; ++t) {
      const BlockEntries::Span span = entries.visible(tile, t);
      attend(w.work, w.tokens[t - first], w.tile, span.begin, span.end, p.dim, factor);
    }
  }
  return true;
}

// Where a dim's sum lies.
struct SlotTable {
  SlotTable(uint32_t dim, uint32_t plain) {
    for (uint32_t slot = 0; slot < dim; ++slot) slot_of[row_dim(slot_row(slot), plain)] = static_cast<uint16_t>(slot);
  }
  uint16_t slot_of[kMaxDims];
};

// o = rope⁻¹(sums·inverse) of 16 heads; sums [dim] vectors by slot, `stride` floats apart.
void write_heads(float* o, const float* sums, uint32_t stride, __m512 inverse, uint32_t heads, const SlotTable& slots,
                 const uint32_t* table, const AttentionParams& p) {
  const uint32_t plain = p.dim - p.rope;
  const auto sum_of_dim = [&](uint32_t d) {
    return _mm512_mul_ps(_mm512_load_ps(sums + size_t{slots.slot_of[d]} * stride), inverse);
  };
  for (uint32_t begin = 0; begin < p.dim; begin += 16) {
    __m512i words[16];
    for (uint32_t i = 0; i < 16; i += 2) {
      __m512 even = sum_of_dim(begin + i);
      __m512 odd = sum_of_dim(begin + i + 1);
      if (begin >= plain) {
        const __m512 cosine = _mm512_set1_ps(std::bit_cast<float>(table[begin - plain + i]));
        const __m512 sine = _mm512_set1_ps(std::bit_cast<float>(table[begin - plain + i + 1]));
        const __m512 turned = _mm512_add_ps(_mm512_mul_ps(even, cosine), _mm512_mul_ps(odd, sine));
        odd = _mm512_sub_ps(_mm512_mul_ps(odd, cosine), _mm512_mul_ps(even, sine));
        even = turned;
      }
      words[i] = _mm512_castps_si512(even);
      words[i + 1] = _mm512_castps_si512(odd);
    }
    transpose(words);
    for (uint32_t h = 0; h < heads; ++h) _mm512_storeu_si512(o + size_t{h} * p.dim + begin, words[h]);
  }
}

// The sinks of 16 heads in units of ln 2.
__m512 load_sinks(const CpuArgs& args, const AttentionParams& p, uint32_t head) {
  const float* sinks = args.bindings[5].as<float>() + head;
  return _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes_below(p.heads - head), sinks), _mm512_set1_ps(kLog2e));
}

float* output(const CpuArgs& args, const AttentionParams& p, uint32_t t, uint32_t head) {
  return args.bindings[6].as<float>() + (size_t{t} * p.heads + head) * p.dim;
}

const uint32_t* rope_table(const CpuArgs& args, const AttentionParams& p, uint32_t t) {
  return args.step_words.data() + p.rope_at + size_t{t} * p.rope;
}

// ---- many tokens: an item is a block of tokens and of heads --------------------------------------------------------

uint32_t tokens_of_block(const AttentionParams& p) { return p.mode == kAttendIds ? 1 : kBlockTokens; }

void attend_block(Workspace& w, const CpuArgs& args, const AttentionParams& p, uint32_t first, uint32_t head,
                  const SlotTable& slots) {
  const uint32_t last = std::min(first + tokens_of_block(p), args.step.n_tokens);
  const uint32_t heads_end = std::min(head + kBlockHeads, p.heads);
  for (uint32_t t = first; t < last; ++t) {
    TokenState& token = w.tokens[t - first];
    start_token(token, args, p, t, head);
    for (uint32_t h = head; h < heads_end; h += 16) {
      _mm512_store_ps(token.largest + (h - head), load_sinks(args, p, h));
      _mm512_store_ps(token.total + (h - head), _mm512_set1_ps(1));
    }
  }
  const bool exact = attend_tiles(w, args, p, first, last, head, 0, UINT32_MAX);
  for (uint32_t t = first; t < last; ++t) {
    const TokenState& token = w.tokens[t - first];
    for (uint32_t h = head; h < heads_end; h += kAttentionHeads) {
      if (!exact) {
        attention_item(args, p, t, h);
        continue;
      }
      const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1), _mm512_load_ps(token.total + (h - head)));
      write_heads(output(args, p, t, h), &token.sums[0][h - head], kBlockHeads, inverse,
                  std::min(kAttentionHeads, heads_end - h), slots, rope_table(args, p, t), p);
    }
  }
}

// ---- few tokens: prepare() attends to ranges of entries, an item of run() joins them for 16 heads ------------------

struct Part {
  alignas(64) float largest[kBlockHeads];
  alignas(64) float total[kBlockHeads];
  alignas(64) float sums[kMaxDims][kBlockHeads];
  alignas(64) uint32_t exact;
};

bool in_ranges(const CpuArgs& args, const AttentionParams& p) {
  return is_coarse(p) && args.step.n_tokens <= kFewTokens;
}

struct Ranges {
  uint32_t count = 0;
  uint32_t tiles = 0;  // of one range
};
Ranges ranges_of(const CpuArgs& args, const AttentionParams& p) {
  uint32_t tiles = 0;
  for (uint32_t t = 0; t < args.step.n_tokens; ++t) tiles = std::max(tiles, BlockEntries(args, p, t, t + 1).tiles());
  const uint32_t each = std::max(kLeastTiles, (tiles + kMostRanges - 1) / kMostRanges);
  return {(tiles + each - 1) / each, each};
}

uint64_t prepare_items(const CpuArgs& args) {
  const auto p = args.get<AttentionParams>();
  if (!in_ranges(args, p)) return 0;
  return uint64_t{args.step.n_tokens} * head_blocks(p) * ranges_of(args, p).count;
}

uint64_t scratch_bytes(const CpuArgs& args) { return prepare_items(args) * sizeof(Part); }

void prepare(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<AttentionParams>();
  const Ranges ranges = ranges_of(args, p);
  auto* parts = reinterpret_cast<Part*>(args.scratch.data());
  const auto w = std::make_unique_for_overwrite<Workspace>();
  for (uint64_t item = begin; item < end; ++item) {
    const auto range = static_cast<uint32_t>(item % ranges.count);
    const auto head = static_cast<uint32_t>(item / ranges.count % head_blocks(p)) * kBlockHeads;
    const auto t = static_cast<uint32_t>(item / ranges.count / head_blocks(p));
    TokenState& token = w->tokens[0];
    start_token(token, args, p, t, head);
    std::fill_n(token.largest, kBlockHeads, -3.0e38f);
    std::fill_n(token.total, kBlockHeads, 0.0f);
    Part& part = parts[item];
    part.exact = attend_tiles(*w, args, p, t, t + 1, head, range * ranges.tiles, (range + 1) * ranges.tiles) ? 1 : 0;
    std::copy_n(token.largest, kBlockHeads, part.largest);
    std::copy_n(token.total, kBlockHeads, part.total);
    std::memcpy(part.sums, token.sums, p.dim * sizeof(token.sums[0]));
  }
}

void join_heads(const CpuArgs& args, const AttentionParams& p, uint32_t t, uint32_t head, std::span<const Part> parts,
                const SlotTable& slots) {
  const uint32_t in_part = head % kBlockHeads;
  const __m512 sinks = load_sinks(args, p, head);
  __m512 largest = sinks;
  for (const Part& part : parts) {
    if (part.exact == 0) return attention_item(args, p, t, head);
    largest = _mm512_max_ps(largest, _mm512_load_ps(part.largest + in_part));
  }
  __m512 weights[kMostRanges];
  __m512 total = kept_of(sinks, largest);
  for (size_t r = 0; r < parts.size(); ++r) {
    weights[r] = exp2_of(_mm512_sub_ps(_mm512_load_ps(parts[r].largest + in_part), largest));
    total = _mm512_fmadd_ps(weights[r], _mm512_load_ps(parts[r].total + in_part), total);
  }
  alignas(64) float sums[kMaxDims][16];
  for (uint32_t slot = 0; slot < p.dim; ++slot) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t r = 0; r < parts.size(); ++r) {
      sum = _mm512_fmadd_ps(weights[r], _mm512_load_ps(parts[r].sums[slot] + in_part), sum);
    }
    _mm512_store_ps(sums[slot], sum);
  }
  write_heads(output(args, p, t, head), sums[0], 16, _mm512_div_ps(_mm512_set1_ps(1), total),
              std::min(kAttentionHeads, p.heads - head), slots, rope_table(args, p, t), p);
}

// ---- both ----------------------------------------------------------------------------------------------------------

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<AttentionParams>();
  if (!is_coarse(p) || in_ranges(args, p)) return attention_items(args);
  return uint64_t{(args.step.n_tokens + tokens_of_block(p) - 1) / tokens_of_block(p)} * head_blocks(p);
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<AttentionParams>();
  if (!is_coarse(p)) return attention_run(args, begin, end);
  const SlotTable slots(p.dim, p.dim - p.rope);
  if (in_ranges(args, p)) {
    const Ranges ranges = ranges_of(args, p);
    const uint32_t groups = (p.heads + kAttentionHeads - 1) / kAttentionHeads;
    const auto* parts = reinterpret_cast<const Part*>(args.scratch.data());
    for (uint64_t item = begin; item < end; ++item) {
      const auto t = static_cast<uint32_t>(item / groups);
      const auto head = static_cast<uint32_t>(item % groups) * kAttentionHeads;
      const size_t block = size_t{t} * head_blocks(p) + head / kBlockHeads;
      join_heads(args, p, t, head, {parts + block * ranges.count, ranges.count}, slots);
    }
    return;
  }
  const auto w = std::make_unique_for_overwrite<Workspace>();
  for (uint64_t item = begin; item < end; ++item) {
    const auto first = static_cast<uint32_t>(item / head_blocks(p)) * tokens_of_block(p);
    attend_block(*w, args, p, first, static_cast<uint32_t>(item % head_blocks(p)) * kBlockHeads, slots);
  }
}

}  // namespace

CpuKernel attention_f32_avx512_dot() {
  return {.kernel = "attention_f32",
          .variant = "avx512_dot",
          .isa = CpuIsa::kAvx512Dot,
          .items = items,
          .run = run,
          .scratch_bytes = scratch_bytes,
          .prepare_items = prepare_items,
          .prepare = prepare,
          .prepare_grain = 1};
}

}  // namespace nibble

#endif
