#include "host/layers/rope.h"

#include <cmath>

#include <gtest/gtest.h>

#include "host/checkpoint/npy.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr Yarn kFlash = {.factor = 16, .original_length = 65536, .beta_fast = 32, .beta_slow = 1};

template <typename T>
std::vector<T> golden(const std::string& array) {
  return read_npy<T>(std::string(NIBBLE_SOURCE_DIR) + "/tests/golden/ops/rope_tables_flash/" + array + ".npy").values;
}

void expect_table(const RopeTable& table, const std::string& prefix) {
  const auto inv_freq = golden<float>(prefix + "_inv_freq");
  ASSERT_EQ(table.inv_freq().size(), inv_freq.size());
  for (size_t i = 0; i < inv_freq.size(); ++i) EXPECT_EQ(table.inv_freq()[i], inv_freq[i]) << i;
  const auto cosines = golden<float>(prefix + "_cos");
  const auto sines = golden<float>(prefix + "_sin");
  const auto positions = golden<int64_t>("positions");
  std::vector<float> row(table.rope_dims());
  for (size_t p = 0; p < positions.size(); ++p) {
    table.row(static_cast<uint32_t>(positions[p]), row.data());
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      // The vectors' own sine is a float one, correct to an ulp; ours is rounded from double.
      EXPECT_NEAR(row[2 * i], cosines[p * inv_freq.size() + i], 0x1p-23) << positions[p] << ", pair " << i;
      EXPECT_NEAR(row[2 * i + 1], sines[p * inv_freq.size() + i], 0x1p-23) << positions[p] << ", pair " << i;
    }
  }
}

TEST(RopeTable, PlainMatchesTheReleasedParameters) { expect_table(RopeTable(64, 10000), "plain"); }

TEST(RopeTable, YarnMatchesTheReleasedParameters) {
  expect_table(RopeTable(64, 160000, kFlash), "yarn");
  const YarnRamp ramp = yarn_ramp(64, 160000, kFlash);
  const auto want = golden<int32_t>("yarn_ramp_low_high");
  EXPECT_EQ(ramp.low, want[0]);
  EXPECT_EQ(ramp.high, want[1]);
}

TEST(RopeTable, RampOfNoWidthStillSwitches) {
  // With equal betas both ends of the ramp fall between the same two pairs or on one.
  const RopeTable table(8, 10000, Yarn{.factor = 4, .original_length = 64, .beta_fast = 1, .beta_slow = 1});
  const RopeTable plain(8, 10000);
  EXPECT_EQ(table.inv_freq()[0], plain.inv_freq()[0]);
  EXPECT_FLOAT_EQ(table.inv_freq()[3], plain.inv_freq()[3] / 4);
}

TEST(RopeTable, RejectsOddWidthAndSmallBase) {
  EXPECT_THROW(RopeTable(63, 10000), Error);
  EXPECT_THROW(RopeTable(0, 10000), Error);
  EXPECT_THROW(RopeTable(64, 1), Error);
}

}  // namespace
}  // namespace nibble
