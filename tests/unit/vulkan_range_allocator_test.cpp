#include <vector>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/vulkan/range_allocator.h"

namespace nibble::vulkan {
namespace {

TEST(VulkanRangeAllocator, AlignsAndReusesWhatWasReleased) {
  RangeAllocator ranges(1000);
  EXPECT_EQ(ranges.allocate(10, 1), 0u);
  EXPECT_EQ(ranges.allocate(100, 256), 256u);
  EXPECT_EQ(ranges.allocate(200, 1), 10u);  // the gap before the aligned one
  EXPECT_EQ(ranges.allocate(645, 1), std::nullopt);
  EXPECT_EQ(ranges.allocate(644, 1), 356u);
  ranges.release(256, 100);
  EXPECT_EQ(ranges.allocate(146, 1), 210u);
  EXPECT_EQ(ranges.allocate(1, 1), std::nullopt);
}

TEST(VulkanRangeAllocator, PiecesNeverOverlapAndAllComeBack) {
  constexpr uint64_t kSize = 5000;
  struct Piece {
    uint64_t offset, bytes;
  };
  Rng rng(2);
  RangeAllocator ranges(kSize);
  std::vector<Piece> pieces;
  std::vector<int> owners(kSize, 0);
  for (int step = 0; step < 5000; ++step) {
    if (!pieces.empty() && rng.below(2) == 0) {
      std::swap(pieces[rng.below(static_cast<uint32_t>(pieces.size()))], pieces.back());
      const Piece gone = pieces.back();
      pieces.pop_back();
      for (uint64_t i = 0; i < gone.bytes; ++i) --owners[gone.offset + i];
      ranges.release(gone.offset, gone.bytes);
      continue;
    }
    const uint64_t alignment = uint64_t{1} << rng.below(9);
    const uint64_t bytes = 1 + rng.below(400);
    const std::optional<uint64_t> offset = ranges.allocate(bytes, alignment);
    if (!offset) continue;
    ASSERT_EQ(*offset % alignment, 0u);
    ASSERT_LE(*offset + bytes, kSize);
    for (uint64_t i = 0; i < bytes; ++i) ASSERT_EQ(++owners[*offset + i], 1);
    pieces.push_back({.offset = *offset, .bytes = bytes});
  }
  for (const Piece& piece : pieces) ranges.release(piece.offset, piece.bytes);
  EXPECT_TRUE(ranges.is_empty());
}

}  // namespace
}  // namespace nibble::vulkan
