#include "bench/kv_values.h"

#include <bit>

#include "runtime/base/error.h"
#include "runtime/base/format.h"
#include "shaders/common/kv_format.h"

namespace nibble::bench {
namespace {

// 16 random bits choose one of so many words; a word serves about four times per layer and megatoken.
constexpr size_t kTableSize = 1 << 16;
constexpr double kCodeDeviation = 64;  // 7 deviations fit e4m3's 448
constexpr uint32_t kCodeScale = 120;   // 2^-7 to 2^-5: codes become values of deviation 1 or so
constexpr uint32_t kKeyScale = 125;    // 2^-2 to 1

uint32_t e4m3_word(Rng& rng) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) {
    word = word << 8 | f32_to_e4m3(static_cast<float>(kCodeDeviation * rng.normal()));
  }
  return word;
}

uint32_t rope_word(Rng& rng, uint32_t format) {
  if (format == kEntryFp8F32) return std::bit_cast<uint32_t>(static_cast<float>(rng.normal()));
  const uint32_t low = f32_to_bf16(static_cast<float>(rng.normal()));
  return low | uint32_t{f32_to_bf16(static_cast<float>(rng.normal()))} << 16;
}

}  // namespace

KvValues::KvValues(const ModelConfig& config, const KvFormat& format, uint64_t seed) : rng_(seed), format_(format) {
  if (format.entry == kEntryF32) {
    fail(ErrorCode::kUsage, "numerics 'plain' keep the cache in f32; allowed: reference, fast");
  }
  rope_words_ = kv_rope_words(config.qk_rope_head_dim, format.entry);
  code_words_ = (config.head_dim - config.qk_rope_head_dim) / 4;
  key_code_words_ = config.index_head_dim / 8;
  for (size_t i = 0; i < kTableSize; ++i) {
    codes_.push_back(e4m3_word(rng_));
    rope_.push_back(rope_word(rng_, format.entry));
  }
}

uint32_t KvValues::scales(uint32_t least) {
  const uint64_t bits = rng_.next_u64();
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | (least + static_cast<uint32_t>((bits >> (16 * i)) % 3));
  return word;
}

void KvValues::draw_entries(std::span<uint32_t> words) {
  uint64_t bits = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto at = static_cast<uint32_t>(i % format_.entry_words);
    if (at >= code_words_ + rope_words_) {
      words[i] = scales(kCodeScale);
      continue;
    }
    bits = bits == 0 ? rng_.next_u64() : bits;
    words[i] = (at < code_words_ ? codes_ : rope_)[bits & (kTableSize - 1)];
    bits >>= 16;
  }
}

void KvValues::draw_keys(std::span<uint32_t> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    // Every nibble is an e2m1 value.
    words[i] =
        i % format_.key_words < key_code_words_ ? static_cast<uint32_t>(rng_.next_u64() >> 32) : scales(kKeyScale);
  }
}

}  // namespace nibble::bench
