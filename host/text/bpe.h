// Bpe: byte-pair encoding of one word. Starts from one token per byte and repeatedly merges the neighbours whose merge
// came first in the file, leftmost first, as Sennrich et al. (2016) and the `tokenizers` package do; O(n log n).
// Immutable and safe to share between threads.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nibble {

class Bpe {
 public:
  using ByteTokens = std::array<uint32_t, 256>;
  struct Merge {
    uint32_t left, right, result;
  };

  Bpe() = default;
  // `merges` in file order, which is their rank; of a pair that comes twice the last counts.
  Bpe(const ByteTokens& byte_tokens, const std::vector<Merge>& merges);

  // Appends the ids of `word`'s bytes after all merges.
  void encode(std::string_view word, std::vector<uint32_t>& ids) const;

 private:
  struct Ranked {
    uint32_t rank, result;
  };
  static uint64_t key(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
  const Ranked* find(uint32_t left, uint32_t right) const;

  ByteTokens byte_tokens_{};
  std::unordered_map<uint64_t, Ranked> merges_;
};

}  // namespace nibble
