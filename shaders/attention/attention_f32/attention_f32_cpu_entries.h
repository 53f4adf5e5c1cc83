// Cache entries as operands of bf16 dot products: e4m3 times a power of two is exact there. Included only by per-ISA
// files.
//
// A tile of entries lies in memory twice, as both products of attention take heads in the lanes of a vector and pick
// the entries' values one by one: as `rows` (pairs of dims, for the scores) and as `pairs` (pairs of entries, for the
// weighted sum). Neither needs its dims in order; row_dim() and slot_dim() tell where they are.
#pragma once

#include "shaders/common/kv_format.h"
#include "shaders/common/packed_dot_cpu_many.h"

namespace nibble {
namespace {

constexpr uint32_t kTileEntries = 96;  // decoded twice they are 192 KiB, which leaves L2 room for queries and sums
constexpr uint32_t kScoreEntries = 6;  // entries whose scores are computed together; divides kTileEntries
constexpr uint32_t kMaxDims = 512;
constexpr uint32_t kSlots = 16;  // dims of one block of `pairs`

// Scale codes for which every product with a query or a weight of 2^-31 or more is a normal number.
constexpr uint32_t kLeastScale = 64;
constexpr uint32_t kMostScale = 190;

struct EntryTile {
  alignas(64) uint32_t rows[kTileEntries][kMaxDims / 2];
  alignas(64) uint32_t pairs[kMaxDims / kSlots][kTileEntries / 2][kSlots];
};

// Dims of the rows that are e4m3 lie as e4m3_words() leaves them, 64 at a time; the others in order.
inline uint32_t row_dim(uint32_t at, uint32_t plain) {
  if (at >= plain) return at;
  const uint32_t pair = at % 64 / 2;
  return at / 64 * 64 + pair % 16 * 4 + pair / 16 + at % 2 * 2;
}

// Interleaving two rows splits each 32 dims into halves of four quarters.
inline uint32_t slot_row(uint32_t slot) {
  const uint32_t in = slot % 32;
  return slot / 32 * 32 + in % 16 / 4 * 8 + in / 16 * 4 + in % 4;
}

// Adds 2^exponent to words that are not zero. `shift` is the exponent at its place in bf16.
inline __m512i scale_words(__m512i words, __m512i shift) {
  return _mm512_mask_add_epi16(words, _mm512_test_epi16_mask(words, _mm512_set1_epi16(0x7fff)), words, shift);
}

// False if the entry has values that bf16 dot products would not take as they are: NaN, infinities, subnormals, or
// scales so extreme that products leave the range.
inline bool decode_row(uint32_t* row, const uint32_t* entry, uint32_t plain, uint32_t rope, const E4m3Table& table) {
  const auto* codes = reinterpret_cast<const std::byte*>(entry);
  const auto* scales = reinterpret_cast<const uint8_t*>(entry) + plain + rope * 2;
  uint32_t extreme = 0;
  __mmask64 odd = 0;
  for (uint32_t begin = 0; begin < plain; begin += 64) {
    const uint32_t scale = scales[begin / 64];
    extreme |= static_cast<uint8_t>(scale - kLeastScale) > kMostScale - kLeastScale ? 1u : 0u;
    const __m512i shift = _mm512_set1_epi16(static_cast<int16_t>((scale << 7) - (127u << 7)));
    const __m512i bytes = _mm512_loadu_si512(codes + begin);
    odd |=
        _mm512_cmpeq_epi8_mask(_mm512_or_si512(bytes, _mm512_set1_epi8(static_cast<char>(0x80))), _mm512_set1_epi8(-1));
    __m512i words[2];
    e4m3_words(bytes, table, words);
    _mm512_store_si512(row + begin / 2, scale_words(words[0], shift));
    _mm512_store_si512(row + begin / 2 + 16, scale_words(words[1], shift));
  }
  for (uint32_t begin = 0; begin < rope; begin += 32) {
    const __m512i words = _mm512_loadu_si512(codes + plain + size_t{begin} * 2);
    const __m512i before = _mm512_sub_epi16(_mm512_and_si512(words, _mm512_set1_epi16(0x7fff)), _mm512_set1_epi16(1));
    odd |= _mm512_cmplt_epu16_mask(before, _mm512_set1_epi16(0x7f));
    odd |= _mm512_cmpge_epu16_mask(before, _mm512_set1_epi16(0x7f7f)) &
           _mm512_test_epi16_mask(words, _mm512_set1_epi16(0x7fff));
    _mm512_store_si512(row + (plain + begin) / 2, words);
  }
  return extreme == 0 && odd == 0;
}

// Entries 2i and 2i + 1 of `rows` to `pairs`.
inline void pair_rows(EntryTile& tile, uint32_t i, uint32_t dim) {
  for (uint32_t begin = 0; begin < dim; begin += 32) {
    const __m512i a = _mm512_load_si512(tile.rows[2 * i] + begin / 2);
    const __m512i b = _mm512_load_si512(tile.rows[2 * i + 1] + begin / 2);
    _mm512_store_si512(tile.pairs[begin / kSlots][i], _mm512_unpacklo_epi16(a, b));
    _mm512_store_si512(tile.pairs[begin / kSlots + 1][i], _mm512_unpackhi_epi16(a, b));
  }
}

// Queries of 16 heads [16, dim] f32 as words of pairs in the order of `rows`: word s of head h at packed[s·stride + h].
inline void pack_queries(uint32_t* packed, uint32_t stride, const float* q, uint32_t heads, uint32_t dim,
                         uint32_t plain) {
  alignas(64) uint16_t even[32];
  for (uint32_t i = 0; i < 32; ++i) even[i] = static_cast<uint16_t>(row_dim(i, 64));
  const __m512i first = _mm512_load_si512(even);
  const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(1));
  __m512i words[2][16];
  for (uint32_t begin = 0; begin < dim; begin += 64) {
    const uint32_t halves = dim - begin < 64 ? 1 : 2;
    for (uint32_t h = 0; h < 16; ++h) {
      for (uint32_t half = 0; half < halves; ++half) {
        const float* from = q + size_t{h} * dim + begin + half * 32;
        words[half][h] = h < heads ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from))
                                   : _mm512_setzero_si512();
      }
      if (begin < plain) {
        const __m512i low = words[0][h];
        words[0][h] = _mm512_permutex2var_epi16(low, first, words[1][h]);
        words[1][h] = _mm512_permutex2var_epi16(low, second, words[1][h]);
      }
    }
    for (uint32_t half = 0; half < halves; ++half) {
      transpose(words[half]);
      uint32_t* to = packed + size_t{begin / 2 + half * 16} * stride;
      for (uint32_t i = 0; i < 16; ++i) _mm512_store_si512(to + i * stride, words[half][i]);
    }
  }
}

}  // namespace
}  // namespace nibble
