#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/vulkan/submission_pacer.h"

namespace nibble::vulkan {
namespace {

std::vector<size_t> cut(SubmissionPacer& pacer, uint32_t n_tokens) {
  const std::span<const size_t> ends = pacer.cut(n_tokens);
  return {ends.begin(), ends.end()};
}

// A pacer that has measured these times for steps of `n_tokens`.
SubmissionPacer calibrated(const std::vector<double>& seconds, double budget, uint32_t n_tokens) {
  SubmissionPacer pacer(seconds.size(), budget);
  while (pacer.is_calibrating()) {
    for (size_t i = 0; i < seconds.size(); ++i) pacer.measured_segment(i, seconds[i]);
    pacer.end_calibration(n_tokens);
  }
  return pacer;
}

TEST(VulkanSubmissionPacer, FillsSubmissionsUpToTheBudget) {
  SubmissionPacer pacer = calibrated({0.1, 0.05, 0.06, 0.5, 0.01, 0.01}, 0.2, 1);
  // 0.1 + 0.05 fit, 0.06 more would not; what is too long by itself stands alone.
  EXPECT_EQ(cut(pacer, 1), (std::vector<size_t>{2, 3, 4, 6}));
  EXPECT_TRUE(cut(pacer, 0) == cut(pacer, 1));
}

TEST(VulkanSubmissionPacer, OneSubmissionWhereAllFits) {
  SubmissionPacer pacer = calibrated({0.01, 0.02, 0.03}, 0.2, 1);
  EXPECT_EQ(cut(pacer, 1), std::vector<size_t>{3});
}

TEST(VulkanSubmissionPacer, MoreTokensMeanMoreTime) {
  SubmissionPacer pacer = calibrated({0.01, 0.02, 0.03}, 0.2, 4);
  EXPECT_EQ(cut(pacer, 4), std::vector<size_t>{3});
  EXPECT_EQ(cut(pacer, 16), (std::vector<size_t>{2, 3}));
  EXPECT_EQ(cut(pacer, 4000), (std::vector<size_t>{1, 2, 3}));
  EXPECT_EQ(cut(pacer, 1), std::vector<size_t>{3});
}

TEST(VulkanSubmissionPacer, LearnsFromWholeReplays) {
  SubmissionPacer pacer = calibrated({0.01, 0.02, 0.03}, 0.2, 1);
  pacer.measured_replay(0.6, 1);  // ten times the estimate
  EXPECT_EQ(cut(pacer, 1), (std::vector<size_t>{1, 2, 3}));
  pacer.measured_replay(0.006, 1);
  EXPECT_EQ(cut(pacer, 1), std::vector<size_t>{3});
}

TEST(VulkanSubmissionPacer, AnEmptyProgramHasNoSubmission) {
  SubmissionPacer pacer(0, 0.2);
  EXPECT_TRUE(cut(pacer, 1).empty());
}

TEST(VulkanSubmissionPacer, CoversEverySegmentOnceAndStaysBelowTheBudget) {
  Rng rng(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> seconds(1 + rng.below(40));
    for (double& s : seconds) s = rng.uniform(0.0, 0.15);
    SubmissionPacer pacer = calibrated(seconds, 0.2, 1);
    size_t begin = 0;
    for (const size_t end : cut(pacer, 1)) {
      ASSERT_GT(end, begin);
      double sum = 0;
      for (size_t i = begin; i < end; ++i) sum += seconds[i];
      EXPECT_LE(sum, 0.2 + 1e-12);
      begin = end;
    }
    EXPECT_EQ(begin, seconds.size());
  }
}

}  // namespace
}  // namespace nibble::vulkan
