#include "runtime/core/step.h"

#include <vector>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

TEST(Step, ReadsItsHeader) {
  const std::vector<uint32_t> words = {5, 100, 2, 3, 0, 0, 0, 0, 77};
  const StepHeader header = read_step_header(words);
  EXPECT_EQ(header.n_tokens, 5u);
  EXPECT_EQ(header.position, 100u);
  EXPECT_EQ(header.n_logits, 2u);
  EXPECT_EQ(header.logits_first, 3u);
  EXPECT_EQ(read_step_header({}).n_tokens, 0u);
  expect_error([&] { read_step_header(std::span(words).first(7)); }, "7 words");
}

TEST(Step, GridsFollowTheHeader) {
  const StepHeader step = {.n_tokens = 9, .position = 120, .n_logits = 1};
  EXPECT_EQ(GridDim::constant(3).evaluate(step), 3u);
  EXPECT_EQ(GridDim::tokens().evaluate(step), 9u);
  EXPECT_EQ(GridDim::tokens(1, 4).evaluate(step), 3u);
  EXPECT_EQ(GridDim::tokens(6, 4).evaluate(step), 14u);
  EXPECT_EQ(GridDim::logits(5, 2).evaluate(step), 3u);
  EXPECT_EQ(GridDim::logits().evaluate({.n_tokens = 9}), 0u) << "no logits wanted: the head is skipped";
  EXPECT_EQ(GridDim::tokens(1u << 31, 1u << 31).evaluate(step), 9u) << "products above 32 bits";
  EXPECT_TRUE((Grid{GridDim::constant(1), GridDim::constant(2), GridDim::constant(3)}).is_constant());
  EXPECT_FALSE((Grid{GridDim::constant(1), GridDim::tokens(), GridDim::constant(3)}).is_constant());
}

TEST(Step, SortedTilesAreEnough) {
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    const uint32_t kinds = 1 + rng.below(20);
    const uint32_t tile = 1 + rng.below(9);
    const StepHeader step = {.n_tokens = rng.below(60)};
    std::vector<uint32_t> sizes(kinds);
    for (uint32_t i = 0; i < step.n_tokens * 3; ++i) ++sizes[rng.below(kinds)];
    uint32_t tiles = 0;
    for (const uint32_t size : sizes) tiles += (size + tile - 1) / tile;
    const uint32_t bound = GridDim::sorted_tiles(3, tile, kinds).evaluate(step);
    ASSERT_LE(tiles, bound);
    ASSERT_LE(bound, step.n_tokens * 3);
  }
}

// An entry is complete when the token at position ratio·(e+1) − 1 has been seen.
uint32_t entries_complete_after(uint32_t tokens, uint32_t ratio) {
  uint32_t entries = 0;
  for (uint32_t t = 0; t < tokens; ++t) entries += t % ratio == ratio - 1 ? 1 : 0;
  return entries;
}

TEST(Step, CompressedEntriesAgreeWithCounting) {
  Rng rng(5);
  for (int round = 0; round < 300; ++round) {
    const uint32_t ratio = 1 + rng.below(130);
    const uint32_t tile = 1 + rng.below(9);
    const StepHeader step = {.n_tokens = rng.below(300), .position = rng.below(1000)};
    const uint32_t before = entries_complete_after(step.position, ratio);
    const uint32_t after = entries_complete_after(step.position + step.n_tokens, ratio);
    ASSERT_EQ(GridDim::entries(ratio).evaluate(step), after - before);
    ASSERT_EQ(GridDim::visible(ratio, tile).evaluate(step), after / tile + (after % tile != 0 ? 1 : 0));
  }
}

}  // namespace
}  // namespace nibble
