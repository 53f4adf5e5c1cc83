#include "runtime/core/arena.h"

#include <map>

#include <gtest/gtest.h>

#include "tests/support/dispatch_lists.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

struct Plan {
  std::vector<std::shared_ptr<Buffer>> arenas;
  uint64_t bytes = 0;
};

Plan plan(DispatchList& list, const ArenaLimits& limits) {
  Plan result;
  result.bytes = plan_temporaries(list, limits, [&](uint64_t bytes, std::string label) {
    result.arenas.push_back(std::make_shared<Buffer>(bytes, std::move(label)));
    return result.arenas.back();
  });
  return result;
}

TEST(Arena, ReusesMemoryOnceALifetimeIsOver) {
  DispatchList list;
  std::vector<std::shared_ptr<Buffer>> chain;
  for (int i = 0; i < 6; ++i) chain.push_back(list.temporary(1000, "link"));
  for (int i = 0; i + 1 < 6; ++i) {
    list.add(dispatch_of({Access::kRead, Access::kWrite}, {BufferView(chain[i]), BufferView(chain[i + 1])}));
  }
  const Plan result = plan(list, {.max_buffer = 1 << 20, .alignment = 256});
  EXPECT_EQ(result.arenas.size(), 1u);
  EXPECT_EQ(result.bytes, 2u * 1024u) << "a chain needs two links at a time, each rounded up to 256";
}

TEST(Arena, OpensAnotherBufferWhenOneIsFull) {
  DispatchList list;
  std::vector<BufferView> views;
  for (int i = 0; i < 3; ++i) views.emplace_back(list.temporary(600, "part"));
  list.add(dispatch_of({Access::kRead, Access::kRead, Access::kWrite}, views));
  const Plan result = plan(list, {.max_buffer = 1500, .alignment = 4});
  EXPECT_EQ(result.arenas.size(), 2u);
  for (const auto& arena : result.arenas) EXPECT_LE(arena->bytes(), 1500u);
}

TEST(Arena, NamesAnActivationThatFitsNowhere) {
  DispatchList list;
  list.add(dispatch_of({Access::kWrite}, {BufferView(list.temporary(5000, "scores"))}));
  expect_error([&] { plan(list, {.max_buffer = 4096, .alignment = 256}); }, "scores", "--chunk");
}

TEST(Arena, LeavesOtherBuffersAndPiecesOfTemporariesWhereTheyAre) {
  DispatchList list;
  const auto weights = std::make_shared<Buffer>(64, "weights");
  const auto temporary = list.temporary(512, "rows");
  list.add(
      dispatch_of({Access::kRead, Access::kWrite}, {BufferView(weights, 16, 32), BufferView(temporary, 256, 128)}));
  list.add(dispatch_of({Access::kRead}, {BufferView(temporary, 0, 512)}));
  plan(list, {.max_buffer = 4096, .alignment = 256});
  const BufferView first = list.dispatches()[0].bindings[0].views[0];
  const BufferView piece = list.dispatches()[0].bindings[1].views[0];
  const BufferView whole = list.dispatches()[1].bindings[0].views[0];
  EXPECT_EQ(first.buffer, weights);
  EXPECT_EQ(first.offset, 16u);
  EXPECT_EQ(piece.buffer, whole.buffer);
  EXPECT_EQ(piece.offset, whole.offset + 256);
  EXPECT_EQ(piece.bytes, 128u);
}

struct Placement {
  const Buffer* arena = nullptr;
  uint64_t begin = 0;
  uint64_t end = 0;
  size_t first = 0;
  size_t last = 0;
};

// Where each temporary of `before` (found by its address) lies after planning, and when it lives.
std::vector<Placement> placements(const std::vector<std::vector<BufferView>>& before, const DispatchList& after) {
  std::map<const Buffer*, Placement> found;
  for (size_t i = 0; i < before.size(); ++i) {
    for (size_t b = 0; b < before[i].size(); ++b) {
      const BufferView& old_view = before[i][b];
      const BufferView& view = after.dispatches()[i].bindings[b].views[0];
      const auto [it, is_new] = found.try_emplace(old_view.buffer.get());
      const uint64_t begin = view.offset - old_view.offset;
      if (is_new) {
        it->second = {.arena = view.buffer.get(), .begin = begin, .end = begin + old_view.buffer->bytes(), .first = i};
      }
      EXPECT_EQ(it->second.arena, view.buffer.get()) << "one temporary in two places";
      EXPECT_EQ(it->second.begin, begin);
      it->second.last = i;
    }
  }
  std::vector<Placement> result;
  for (const auto& [buffer, placement] : found) result.push_back(placement);
  return result;
}

TEST(Arena, TemporariesThatLiveTogetherNeverOverlap) {
  Rng rng(99);
  size_t shared = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::shared_ptr<Buffer>> temporaries;
    for (uint32_t n = 2 + rng.below(12); n > 0; --n) {
      temporaries.push_back(std::make_shared<TemporaryBuffer>(1 + rng.below(3000), "temporary"));
    }
    DispatchList list = random_list(rng, temporaries, 1 + rng.below(20));
    std::vector<std::vector<BufferView>> before;
    for (const Dispatch& dispatch : list.dispatches()) {
      std::vector<BufferView>& views = before.emplace_back();
      for (const Binding& binding : dispatch.bindings) views.push_back(binding.views[0]);
    }
    const ArenaLimits limits = {.max_buffer = 3072 + rng.below(9000), .alignment = 1u << (2 + rng.below(7))};
    plan(list, limits);
    const std::vector<Placement> all = placements(before, list);
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(all[i].begin % limits.alignment, 0u);
      ASSERT_LE(all[i].end, all[i].arena->bytes());
      ASSERT_LE(all[i].arena->bytes(), limits.max_buffer);
      for (size_t j = 0; j < i; ++j) {
        const bool overlap = all[i].arena == all[j].arena && all[i].begin < all[j].end && all[j].begin < all[i].end;
        const bool together = all[i].first <= all[j].last && all[j].first <= all[i].last;
        ASSERT_FALSE(overlap && together) << "round " << round;
        shared += overlap ? 1 : 0;
      }
    }
  }
  EXPECT_GT(shared, 100u) << "memory must have been reused for the test to mean anything";
}

}  // namespace
}  // namespace nibble
