// Radix select on cpu.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

namespace nibble {

// Orders like the float and is above 0: -0 and +0 share a key, NaN has the highest.
inline uint32_t ordered_key(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return UINT32_MAX;
  if (magnitude == 0) return 0x80000000u;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

struct TopkCut {
  uint32_t key = 0;      // the n-th largest
  uint32_t missing = 0;  // how many of the keys equal to it are taken
};

// 11 bits a pass from the top, the last pass 10; a pass looks only at the keys that share the bits fixed before it.
inline TopkCut find_topk_cut(std::span<const uint32_t> keys, uint32_t n) {
  TopkCut cut{.missing = n};
  std::vector<uint32_t> sharing;
  for (const auto& [shift, mask] : {std::pair{21, 0x7ffu}, std::pair{10, 0x7ffu}, std::pair{0, 0x3ffu}}) {
    uint32_t histogram[2048] = {};
    for (const uint32_t key : keys) ++histogram[key >> shift & mask];
    uint32_t digit = mask;
    while (digit > 0 && histogram[digit] < cut.missing) cut.missing -= histogram[digit--];
    cut.key |= digit << shift;
    std::vector<uint32_t> next;
    next.reserve(histogram[digit]);
    std::copy_if(keys.begin(), keys.end(), std::back_inserter(next),
                 [digit, shift = shift, mask = mask](uint32_t key) { return (key >> shift & mask) == digit; });
    sharing = std::move(next);
    keys = sharing;
  }
  return cut;
}

// take(j) for the n largest of the keys, in ascending order of j; ties go to the lower one.
template <typename Take>
void for_each_largest(std::span<const uint32_t> keys, uint32_t n, Take take) {
  if (n == 0) return;
  TopkCut cut = find_topk_cut(keys, n);
  for (uint32_t j = 0; j < keys.size(); ++j) {
    if (keys[j] > cut.key || (keys[j] == cut.key && cut.missing > 0)) {
      if (keys[j] == cut.key) --cut.missing;
      take(j);
    }
  }
}

}  // namespace nibble
