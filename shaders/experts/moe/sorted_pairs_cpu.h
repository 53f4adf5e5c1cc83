// The routed pairs of a step sorted by expert, in a dispatch's scratch memory.
#pragma once

#include <span>

#include "runtime/cpu/cpu_kernel.h"

namespace nibble {

// Pairs (t·k + j) whose expert lies in a range, ordered by expert and then by pair. Run r is experts[g] with
// pairs[begins[g]] to pairs[begins[g + 1]], at least one.
struct SortedPairs {
  std::span<const uint32_t> experts;
  std::span<const uint32_t> begins;
  std::span<const uint32_t> pairs;

  std::span<const uint32_t> pairs_of(size_t run) const {
    return pairs.subspan(begins[run], begins[run + 1] - begins[run]);
  }
};

// Bytes of scratch that `pairs` pairs take: a multiple of 64.
size_t sorted_pairs_bytes(uint64_t pairs);
void write_sorted_pairs(std::span<const uint32_t> ids, uint32_t expert_begin, uint32_t expert_end,
                        std::span<std::byte> scratch);
// Views of what write_sorted_pairs left there.
SortedPairs read_sorted_pairs(std::span<const std::byte> scratch);

}  // namespace nibble
