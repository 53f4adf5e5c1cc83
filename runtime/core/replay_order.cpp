#include "runtime/core/replay_order.h"

#include <utility>

#include "runtime/base/rng.h"

namespace nibble {

std::vector<ReplayStep> replay_order(const std::vector<bool>& barriers) {
  std::vector<ReplayStep> order;
  for (size_t i = 0; i < barriers.size(); ++i) order.push_back({.dispatch = i, .barrier_before = barriers[i]});
  return order;
}

std::vector<ReplayStep> shuffled_replay_order(const std::vector<bool>& barriers, uint64_t seed) {
  std::vector<ReplayStep> order = replay_order(barriers);
  Rng rng(seed);
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && !barriers[end]) ++end;
    // Fisher-Yates over the dispatches; the barrier stays with the span's first place.
    for (size_t i = end - 1; i > begin; --i) {
      const size_t other = begin + rng.below(static_cast<uint32_t>(i - begin + 1));
      std::swap(order[i].dispatch, order[other].dispatch);
    }
    begin = end;
  }
  return order;
}

}  // namespace nibble
