// The layout of a KV entry and of an indexer key, in words; the kernels' side is common/kv_format.kernel.
// Little end first. Source: DeepSeek-V4 technical report (584 bytes per entry, 68 per key).
#pragma once

#include <cstdint>

namespace nibble {

// Formats of an entry of `dim` values whose last `rope` are rotated.
inline constexpr uint32_t kEntryF32 = 0;     // dim words
inline constexpr uint32_t kEntryFp8 = 1;     // (dim − rope)/4 words e4m3, rope/2 words of 2 bf16, scale bytes e8m0
inline constexpr uint32_t kEntryFp8F32 = 2;  // the same with the rotated dims as rope words of f32
inline constexpr uint32_t kEntryBlock = 64;  // values per scale; the last block may be short

// Formats of a key of `dim` values.
inline constexpr uint32_t kKeyF32 = 0;  // dim words
inline constexpr uint32_t kKeyFp4 = 1;  // dim/8 words e2m1, low nibble first, then dim/32 scale bytes e8m0
inline constexpr uint32_t kKeyBlock = 32;

constexpr uint32_t kv_rope_words(uint32_t rope, uint32_t format) { return format == kEntryFp8 ? rope / 2 : rope; }

// Word at which the scale bytes begin (packed formats only). dim − rope is a multiple of 4.
constexpr uint32_t kv_scale_word(uint32_t dim, uint32_t rope, uint32_t format) {
  return (dim - rope) / 4 + kv_rope_words(rope, format);
}

// Words of one entry: an even number in the packed formats.
constexpr uint32_t kv_entry_words(uint32_t dim, uint32_t rope, uint32_t format) {
  if (format == kEntryF32) return dim;
  const uint32_t scale_bytes = (dim - rope + kEntryBlock - 1) / kEntryBlock;
  return (kv_scale_word(dim, rope, format) + (scale_bytes + 3) / 4 + 1) / 2 * 2;
}

// Words of one indexer key.
constexpr uint32_t indexer_key_words(uint32_t dim, uint32_t format) {
  if (format == kKeyF32) return dim;
  return dim / 8 + (dim / kKeyBlock + 3) / 4;
}

static_assert(kv_entry_words(512, 64, kEntryFp8) * 4 == 584);
static_assert(indexer_key_words(128, kKeyFp4) * 4 == 68);

}  // namespace nibble
