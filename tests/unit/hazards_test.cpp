#include "runtime/core/hazards.h"

#include <gtest/gtest.h>

#include "tests/support/dispatch_lists.h"

namespace nibble {
namespace {

constexpr Access kRead = Access::kRead;
constexpr Access kWrite = Access::kWrite;
constexpr Access kReadWrite = Access::kReadWrite;

std::shared_ptr<Buffer> buffer_of(uint64_t bytes) { return std::make_shared<Buffer>(bytes, "buffer"); }

std::vector<bool> barriers_of(std::vector<Dispatch> dispatches) {
  DispatchList list;
  for (Dispatch& dispatch : dispatches) list.add(std::move(dispatch));
  return barriers_before(list);
}

using Bools = std::vector<bool>;

TEST(Hazards, ReadersOfOneBufferNeedNoBarrier) {
  const auto a = buffer_of(64);
  EXPECT_EQ(barriers_of({dispatch_of({kRead}, {a}), dispatch_of({kRead}, {a})}), (Bools{false, false}));
  EXPECT_EQ(barriers_of({}), Bools{});
}

TEST(Hazards, EveryKindOfConflictNeedsOne) {
  const auto a = buffer_of(64);
  const auto pair = [&](Access first, Access second) -> bool {
    return barriers_of({dispatch_of({first}, {a}), dispatch_of({second}, {a})})[1];
  };
  EXPECT_TRUE(pair(kWrite, kRead)) << "read after write";
  EXPECT_TRUE(pair(kRead, kWrite)) << "write after read";
  EXPECT_TRUE(pair(kWrite, kWrite)) << "write after write";
  EXPECT_TRUE(pair(kReadWrite, kRead));
  EXPECT_TRUE(pair(kRead, kReadWrite));
}

TEST(Hazards, PiecesConflictOnlyWhereTheyOverlap) {
  const auto a = buffer_of(64);
  const auto b = buffer_of(64);
  const auto after_write_of_16_to_32 = [&](BufferView view) -> bool {
    return barriers_of({dispatch_of({kWrite}, {BufferView(a, 16, 16)}), dispatch_of({kRead}, {std::move(view)})})[1];
  };
  EXPECT_FALSE(after_write_of_16_to_32(BufferView(a, 0, 16)));
  EXPECT_TRUE(after_write_of_16_to_32(BufferView(a, 0, 17)));
  EXPECT_TRUE(after_write_of_16_to_32(BufferView(a, 31, 1)));
  EXPECT_FALSE(after_write_of_16_to_32(BufferView(a, 32, 32)));
  EXPECT_FALSE(after_write_of_16_to_32(BufferView(b, 16, 16)));
}

TEST(Hazards, ABarrierCoversAllThatCameBeforeIt) {
  const auto a = buffer_of(4);
  const auto b = buffer_of(4);
  EXPECT_EQ(barriers_of({dispatch_of({kWrite}, {a}), dispatch_of({kWrite}, {b}), dispatch_of({kRead}, {a}),
                         dispatch_of({kRead}, {b})}),
            (Bools{false, false, true, false}));
}

// The definition, literally: compare with every dispatch since the last barrier.
std::vector<bool> oracle(const DispatchList& list) {
  const auto conflict = [](const Dispatch& first, const Dispatch& second) {
    bool found = false;
    for_each_view(first, [&](const BufferView& a, Access access_a) {
      for_each_view(second, [&](const BufferView& b, Access access_b) {
        const bool read_only = access_a == kRead && access_b == kRead;
        const bool apart = a.buffer != b.buffer || a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
        found = found || (!read_only && !apart);
      });
    });
    return found;
  };
  std::vector<bool> barriers;
  size_t since = 0;
  for (size_t i = 0; i < list.dispatches().size(); ++i) {
    bool needed = false;
    for (size_t j = since; j < i; ++j) needed = needed || conflict(list.dispatches()[j], list.dispatches()[i]);
    if (needed) since = i;
    barriers.push_back(needed);
  }
  return barriers;
}

TEST(Hazards, AgreeWithTheirDefinitionOnRandomLists) {
  Rng rng(2024);
  size_t with = 0;
  size_t without = 0;
  for (int round = 0; round < 400; ++round) {
    // From crowded to roomy: groups of one dispatch up to long ones.
    std::vector<std::shared_ptr<Buffer>> buffers;
    for (uint32_t n = 1 + rng.below(6); n > 0; --n) buffers.push_back(buffer_of(4 + rng.below(200)));
    const DispatchList list = random_list(rng, buffers, 1 + rng.below(30));
    const std::vector<bool> got = barriers_before(list);
    ASSERT_EQ(got, oracle(list)) << "round " << round;
    for (const bool barrier : got) ++(barrier ? with : without);
  }
  EXPECT_GT(with, 500u) << "the lists must have conflicts to find";
  EXPECT_GT(without, 500u) << "and room to leave barriers out";
}

}  // namespace
}  // namespace nibble
