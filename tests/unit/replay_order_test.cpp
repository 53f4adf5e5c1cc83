#include "runtime/core/replay_order.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

namespace nibble {
namespace {

const std::vector<bool> kBarriers = {false, false, false, false, true, true, false, false, false, false, true};

std::vector<size_t> dispatches_of(const std::vector<ReplayStep>& order) {
  std::vector<size_t> dispatches;
  for (const ReplayStep& step : order) dispatches.push_back(step.dispatch);
  return dispatches;
}

TEST(ReplayOrder, KeepsTheListsOrder) {
  const std::vector<ReplayStep> order = replay_order(kBarriers);
  std::vector<size_t> all(kBarriers.size());
  std::iota(all.begin(), all.end(), size_t{0});
  EXPECT_EQ(dispatches_of(order), all);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i].barrier_before, kBarriers[i]);
}

TEST(ReplayOrder, ShufflesWithinSpansOnly) {
  bool has_changed = false;
  for (uint64_t seed = 1; seed < 50; ++seed) {
    const std::vector<ReplayStep> order = shuffled_replay_order(kBarriers, seed);
    has_changed = has_changed || dispatches_of(order) != dispatches_of(replay_order(kBarriers));
    const std::vector<std::pair<size_t, size_t>> spans = {{0, 4}, {4, 5}, {5, 10}, {10, 11}};
    for (const auto& [begin, end] : spans) {
      std::vector<size_t> span;
      for (size_t i = begin; i < end; ++i) {
        span.push_back(order[i].dispatch);
        EXPECT_EQ(order[i].barrier_before, kBarriers[i]);
      }
      std::sort(span.begin(), span.end());
      for (size_t i = begin; i < end; ++i) EXPECT_EQ(span[i - begin], i);
    }
  }
  EXPECT_TRUE(has_changed);
}

TEST(ReplayOrder, TheSeedDecides) {
  const std::vector<bool> barriers(40, false);
  EXPECT_EQ(dispatches_of(shuffled_replay_order(barriers, 7)), dispatches_of(shuffled_replay_order(barriers, 7)));
  EXPECT_NE(dispatches_of(shuffled_replay_order(barriers, 7)), dispatches_of(shuffled_replay_order(barriers, 8)));
  EXPECT_TRUE(shuffled_replay_order({}, 1).empty());
}

}  // namespace
}  // namespace nibble
