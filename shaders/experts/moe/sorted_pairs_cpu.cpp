#include "shaders/experts/moe/sorted_pairs_cpu.h"

#include <algorithm>

namespace nibble {
namespace {

constexpr size_t kHeaderWords = 2;  // runs, pairs

}  // namespace

size_t sorted_pairs_bytes(uint64_t pairs) { return ((kHeaderWords + 3 * pairs + 1) * 4 + 63) / 64 * 64; }

void write_sorted_pairs(std::span<const uint32_t> ids, uint32_t expert_begin, uint32_t expert_end,
                        std::span<std::byte> scratch) {
  auto* words = reinterpret_cast<uint32_t*>(scratch.data());
  uint32_t* pairs = words + kHeaderWords;
  uint32_t count = 0;
  for (uint32_t pair = 0; pair < ids.size(); ++pair) {
    if (ids[pair] >= expert_begin && ids[pair] < expert_end) pairs[count++] = pair;
  }
  std::sort(pairs, pairs + count, [ids](uint32_t a, uint32_t b) { return ids[a] != ids[b] ? ids[a] < ids[b] : a < b; });
  uint32_t* experts = pairs + count;
  uint32_t* begins = experts + count;
  uint32_t runs = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (runs != 0 && experts[runs - 1] == ids[pairs[i]]) continue;
    experts[runs] = ids[pairs[i]];
    begins[runs++] = i;
  }
  begins[runs] = count;
  words[0] = runs;
  words[1] = count;
}

SortedPairs read_sorted_pairs(std::span<const std::byte> scratch) {
  const auto* words = reinterpret_cast<const uint32_t*>(scratch.data());
  const size_t runs = words[0];
  const size_t count = words[1];
  const uint32_t* pairs = words + kHeaderWords;
  return {.experts = {pairs + count, runs}, .begins = {pairs + 2 * count, runs + 1}, .pairs = {pairs, count}};
}

}  // namespace nibble
