#include <gtest/gtest.h>

#include "bench/tune.h"

namespace nibble::bench {
namespace {

Row row(std::string variant, uint32_t tokens, double seconds, std::string shape = "s", std::string data = "cold") {
  Row row{.kernel = "gemm", .variant = std::move(variant), .shape = std::move(shape), .data = std::move(data)};
  row.tokens = tokens;
  row.seconds.median = seconds;
  return row;
}

std::string always_small(const std::string&, uint32_t) { return "small"; }

TEST(Tune, NamesTheVariantFromTheRowsWhereItWins) {
  const std::vector<Row> rows = {row("small", 1, 1.0),  row("large", 1, 3.0),   row("small", 16, 9.0),
                                 row("large", 16, 4.5), row("small", 64, 40.0), row("large", 64, 10.0)};
  const auto choices = fastest_variants(rows, always_small);
  ASSERT_EQ(choices.size(), 1u);
  EXPECT_EQ(choices[0].min_rows, 16u);
  EXPECT_EQ(choices[0].variant, "large");
  EXPECT_DOUBLE_EQ(choices[0].gain, 2.0);
  EXPECT_EQ(tuning_line(choices[0], "llvmpipe"), R"({"llvmpipe", "", "gemm", 16, "large"},)");
}

TEST(Tune, LeavesNoiseAlone) {
  EXPECT_TRUE(fastest_variants(std::vector{row("small", 1, 1.05), row("large", 1, 1.0)}, always_small).empty());
}

TEST(Tune, ReturnsToTheDefaultWhereItWinsAgain) {
  const std::vector<Row> rows = {row("small", 1, 5.0), row("large", 1, 1.0), row("small", 8, 1.0),
                                 row("large", 8, 5.0)};
  const auto choices = fastest_variants(rows, always_small);
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_EQ(choices[1].min_rows, 8u);
  EXPECT_EQ(choices[1].variant, "small");
}

TEST(Tune, SaysNothingWhereTheDefaultsAlreadyChange) {
  const std::vector<Row> rows = {row("small", 1, 1.0), row("large", 1, 5.0), row("small", 8, 5.0),
                                 row("large", 8, 1.0)};
  const auto by_rows = [](const std::string&, uint32_t tokens) { return tokens < 8 ? "small" : "large"; };
  EXPECT_TRUE(fastest_variants(rows, by_rows).empty());
}

TEST(Tune, ComparesOnlyWhatAllVariantsRan) {
  const std::vector<Row> rows = {row("small", 1, 1.0, "a"), row("large", 1, 2.0, "a"), row("small", 1, 9.0, "b")};
  EXPECT_TRUE(fastest_variants(rows, always_small).empty());
}

TEST(Tune, PrefersColdData) {
  const std::vector<Row> rows = {row("small", 1, 2.0, "s", "cold"), row("small", 1, 0.1, "s", "warm"),
                                 row("large", 1, 1.0, "s", "cold"), row("large", 1, 5.0, "s", "warm")};
  ASSERT_EQ(fastest_variants(rows, always_small).size(), 1u);
}

}  // namespace
}  // namespace nibble::bench
