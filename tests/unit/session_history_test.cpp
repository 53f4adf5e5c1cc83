#include "host/kv/session_history.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"

namespace nibble {
namespace {

std::vector<uint32_t> numbers(uint32_t from, uint32_t count) {
  std::vector<uint32_t> result(count);
  for (uint32_t i = 0; i < count; ++i) result[i] = from + i;
  return result;
}

// Steps of 3 tokens up to 60, a snapshot after every fifth step; tokens count from 100.
SessionHistory sixty_tokens() {
  SessionHistory history;
  for (uint32_t step = 0; step < 20; ++step) {
    history.add_step(numbers(100 + 3 * step, 3));
    if (step % 5 == 4) history.add_snapshot(std::vector<std::byte>(1, std::byte(step)));
  }
  return history;
}

TEST(SessionHistory, ReplaysTheStepsAfterTheNearestSnapshot) {
  SessionHistory history = sixty_tokens();
  const SessionHistory::Replay replay = history.rewind(37);
  ASSERT_NE(replay.from, nullptr);
  EXPECT_EQ(replay.from->position, 30u);
  EXPECT_EQ(replay.from->state, std::vector<std::byte>(1, std::byte{9}));
  ASSERT_EQ(replay.steps.size(), 3u);
  EXPECT_EQ(replay.steps[0], numbers(130, 3));
  EXPECT_EQ(replay.steps[1], numbers(133, 3));
  EXPECT_EQ(replay.steps[2], numbers(136, 1)) << "the last step is cut at the target";
  EXPECT_EQ(history.position(), 30u);
  EXPECT_EQ(history.step_ends().back(), 30u);
  EXPECT_EQ(history.last_snapshot(), 30u);
}

TEST(SessionHistory, ASnapshotAtTheTargetNeedsNoStep) {
  SessionHistory history = sixty_tokens();
  const SessionHistory::Replay replay = history.rewind(45);
  ASSERT_NE(replay.from, nullptr);
  EXPECT_EQ(replay.from->position, 45u);
  EXPECT_TRUE(replay.steps.empty());
}

TEST(SessionHistory, WithoutASnapshotEverythingIsFedAgain) {
  SessionHistory history = sixty_tokens();
  const SessionHistory::Replay replay = history.rewind(5);
  EXPECT_EQ(replay.from, nullptr);
  ASSERT_EQ(replay.steps.size(), 2u);
  EXPECT_EQ(replay.steps[1], numbers(103, 2));
  EXPECT_EQ(history.position(), 0u);
  EXPECT_TRUE(history.snapshots().empty());
}

TEST(SessionHistory, SnapshotsAreFewAndDenserTowardsTheEnd) {
  SessionHistory history;
  for (uint32_t step = 0; step < 4000; ++step) {
    history.add_step(numbers(0, 16));
    if (step % 4 == 3) history.add_snapshot({});
  }
  const auto snapshots = history.snapshots();
  EXPECT_LE(snapshots.size(), 16u);
  EXPECT_EQ(snapshots.back()->position, 64000u);
  uint32_t before = 0;
  for (const auto& snapshot : snapshots) {
    // Going back to just before a snapshot feeds what lies between: never much more than what was taken back.
    EXPECT_LE(snapshot->position - before, 64u + (64000 - snapshot->position) * 2 + 64000 / 4) << snapshot->position;
    before = snapshot->position;
  }
  EXPECT_GE(snapshots[snapshots.size() - 2]->position, 63000u);
}

TEST(SessionHistory, TheBestSnapshotsAreTheLastAndOnesSpreadBefore) {
  const SessionHistory history = sixty_tokens();  // snapshots at 15, 30, 45, 60
  EXPECT_TRUE(history.best_snapshots(0).empty());
  ASSERT_EQ(history.best_snapshots(1).size(), 1u);
  EXPECT_EQ(history.best_snapshots(1)[0]->position, 60u);
  ASSERT_EQ(history.best_snapshots(3).size(), 3u);
  EXPECT_EQ(history.best_snapshots(3)[2]->position, 60u);
  EXPECT_EQ(history.best_snapshots(9).size(), 4u);
  EXPECT_EQ(history.snapshots().size(), 4u);
}

TEST(SessionHistory, CopiesShareSnapshotsAndPartWays) {
  SessionHistory history = sixty_tokens();
  SessionHistory copy = history;
  EXPECT_EQ(copy.snapshots().back(), history.snapshots().back());
  copy.rewind(10);
  EXPECT_EQ(history.position(), 60u);
  EXPECT_EQ(history.last_snapshot(), 60u);
}

}  // namespace
}  // namespace nibble
