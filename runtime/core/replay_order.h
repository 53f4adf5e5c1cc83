// The order in which a list's dispatches are recorded. Any order within a span (the dispatches between two barriers)
// must give the same result; drivers seldom show it when a barrier is missing, a shuffled order does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nibble {

struct ReplayStep {
  size_t dispatch = 0;  // index in the list
  bool barrier_before = false;
};

// The list's own order.
std::vector<ReplayStep> replay_order(const std::vector<bool>& barriers);
// Each span in a random order of its own; the same seed gives the same order.
std::vector<ReplayStep> shuffled_replay_order(const std::vector<bool>& barriers, uint64_t seed);

}  // namespace nibble
