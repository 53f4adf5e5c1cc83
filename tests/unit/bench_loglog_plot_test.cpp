#include <regex>

#include <gtest/gtest.h>

#include "bench/loglog_plot.h"

namespace nibble::bench {
namespace {

TEST(LogLogPlot, PutsEqualFactorsAtEqualDistances) {
  const std::string svg = to_svg({.title = "a < b",
                                  .x_name = "x",
                                  .y_name = "y",
                                  .lines = {{.name = "line", .points = {{1, 2}, {10, 20}, {100, 200}}}}});
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
  const std::regex mark(R"re(<circle cx="([0-9.]+)" cy="([0-9.]+)")re");
  std::vector<std::pair<double, double>> at;
  for (std::sregex_iterator i(svg.begin(), svg.end(), mark), end; i != end; ++i) {
    at.emplace_back(std::stod((*i)[1]), std::stod((*i)[2]));
  }
  ASSERT_EQ(at.size(), 3u);
  EXPECT_GT(at[1].first, at[0].first);
  EXPECT_LT(at[1].second, at[0].second);  // upwards
  EXPECT_NEAR(at[2].first - at[1].first, at[1].first - at[0].first, 0.11);
  EXPECT_NEAR(at[2].second - at[1].second, at[1].second - at[0].second, 0.11);
}

TEST(LogLogPlot, LeavesOutWhatHasNoLogarithm) {
  EXPECT_EQ(to_svg({.lines = {{.name = "zero", .points = {{1, 0}, {0, 1}}}}}), "");
  const std::string svg = to_svg({.lines = {{.name = "some", .points = {{1, 0}, {5, 5}}}}});
  EXPECT_NE(svg.find("<circle"), std::string::npos);
  EXPECT_EQ(svg.find("<circle", svg.find("<circle") + 1), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace nibble::bench
