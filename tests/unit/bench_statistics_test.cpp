#include <cmath>

#include <gtest/gtest.h>

#include "bench/cpu_ceilings.h"
#include "bench/report.h"
#include "bench/row.h"
#include "bench/statistics.h"

namespace nibble::bench {
namespace {

TEST(BenchStatistics, MedianAndQuartilesAreInterpolated) {
  const Summary summary = summarise({4, 1, 3, 2});
  EXPECT_EQ(summary.n, 4u);
  EXPECT_EQ(summary.median, 2.5);
  EXPECT_EQ(summary.low, 1.75);
  EXPECT_EQ(summary.high, 3.25);
  EXPECT_EQ(summary.min, 1);
  EXPECT_EQ(summary.max, 4);
  EXPECT_EQ(summary.spread(), 0.3);
}

TEST(BenchStatistics, OneSlowRunMovesNothingButTheMaximum) {
  const Summary summary = summarise({1, 1, 1, 1, 1, 1, 1, 1, 100});
  EXPECT_EQ(summary.median, 1);
  EXPECT_EQ(summary.high, 1);
  EXPECT_EQ(summary.max, 100);
}

TEST(BenchStatistics, FewValues) {
  EXPECT_EQ(summarise({}).n, 0u);
  EXPECT_EQ(summarise({}).spread(), 0);
  EXPECT_EQ(summarise({7}).median, 7);
  EXPECT_EQ(summarise({7}).low, 7);
}

TEST(BenchStatistics, ARatioIsTheMedianOfItsPairs) {
  const Ratio ratio = ratio_of({1, 3, 2});
  EXPECT_EQ(ratio.median, 2);
  EXPECT_EQ(ratio.min, 1);
  EXPECT_EQ(ratio.max, 3);
}

TEST(BenchCeilings, ShortWorkMeetsTheBestTryAndLongWorkTheMean) {
  const auto rates = [next = 0]() mutable { return next++ % 2 == 0 ? 1.0 : 3.0; };
  EXPECT_EQ(sampled_rate(0, 4, rates), 3.0);
  int tries = 0;
  const double mean = sampled_rate(CpuCeilings::kSustainedFrom, 2, [&] { return ++tries % 2 == 0 ? 1.0 : 3.0; });
  EXPECT_GE(tries, 2);
  // Two tries of equal work at 1 and 3 take 4/3 of a second: 1.5 on average, a little more after an odd number.
  EXPECT_GE(mean, 1.49);
  EXPECT_LE(mean, 1.81);
  EXPECT_EQ(sampled_rate(0, 4, [] { return 0.0; }), 0.0);
}

TEST(BenchReport, ThreeDigits) {
  EXPECT_EQ(three_digits(0), "0");
  EXPECT_EQ(three_digits(std::nan("")), "?");
  EXPECT_EQ(three_digits(0.0012345), "0.00123");
  EXPECT_EQ(three_digits(1.2345), "1.23");
  EXPECT_EQ(three_digits(123.45), "123");
  EXPECT_EQ(three_digits(12345.6), "12346");
  EXPECT_EQ(three_digits(-1.5), "-1.50");
}

}  // namespace
}  // namespace nibble::bench
