// Random content of a KV cache in its own formats, at gigabytes a second: a million tokens take 170 MB a layer.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "host/kv/kv_cache.h"
#include "runtime/base/rng.h"

namespace nibble::bench {

// Values are near normal with deviation 1; no code is a NaN. Only the packed formats of shaders/common/kv_format.h.
class KvValues {
 public:
  // Throws kUsage for the unpacked formats of plain numerics.
  KvValues(const ModelConfig& config, const KvFormat& format, uint64_t seed);

  // Whole entries (window or compressed) and whole indexer keys.
  void draw_entries(std::span<uint32_t> words);
  void draw_keys(std::span<uint32_t> words);

 private:
  // Four random e8m0 codes from `least` to `least` + 2.
  uint32_t scales(uint32_t least);

  Rng rng_;
  KvFormat format_;
  uint32_t code_words_ = 0;  // of an entry: e4m3
  uint32_t rope_words_ = 0;
  uint32_t key_code_words_ = 0;
  std::vector<uint32_t> codes_;  // words of four e4m3 codes each, drawn from
  std::vector<uint32_t> rope_;   // words of two bf16 values, or of one f32
};

}  // namespace nibble::bench
