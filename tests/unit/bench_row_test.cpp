#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bench/compare.h"
#include "bench/html.h"
#include "bench/report.h"
#include "bench/row.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble::bench {
namespace {

Row some_row() {
  return {.device = "A <b> & \"c\"",
          .driver = "driver 1.0",
          .kernel = "gemm_fp8_f32",
          .variant = "wide",
          .shape = "wq_a rows=1024,cols=4096",
          .data = "cold",
          .numerics = "reference",
          .tokens = 4,
          .seconds = {.n = 15, .median = 0.002, .min = 0.001, .max = 0.004, .low = 0.0019, .high = 0.0021},
          .net_seconds = 0.0015,
          .device_seconds = 0.0018,
          .bytes = 4'000'000,
          .flops = 8'000'000,
          .ceiling = "read",
          .ceiling_value = 20,
          .share = {.median = 0.1, .min = 0.09, .max = 0.12},
          .ratios = {{"t_mem", {.median = 10, .min = 8, .max = 11}}}};
}

TEST(BenchRow, EveryDocumentedKeyIsThere) {
  const nlohmann::json json = to_json(some_row());
  for (const char* key : {"device", "driver", "kernel", "variant", "shape", "tokens", "ms_median", "ms_min", "ms_max",
                          "n", "bytes", "flops", "gbps", "gflops", "ceiling", "share"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["ms_median"], 2.0);
  EXPECT_EQ(json["gbps"], 2.0);
  EXPECT_EQ(json["gflops"], 4.0);
  EXPECT_EQ(json["ceiling_suspect"], false);
}

TEST(BenchRow, SurvivesAFile) {
  const TempDirectory directory;
  const std::string path = directory.file("rows.json");
  write_rows(path, {some_row(), some_row()});
  const std::vector<Row> rows = read_rows(path);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].key(), some_row().key());
  EXPECT_EQ(rows[1].device, some_row().device);
  EXPECT_DOUBLE_EQ(rows[1].seconds.high, 0.0021);
  EXPECT_DOUBLE_EQ(rows[1].net_seconds, 0.0015);
  EXPECT_EQ(rows[1].flops, 8'000'000u);
  EXPECT_DOUBLE_EQ(rows[1].share.max, 0.12);
  EXPECT_DOUBLE_EQ(rows[1].ratios.at("t_mem").median, 10);
}

TEST(BenchRow, BadFilesAreNamed) {
  const TempDirectory directory;
  expect_error([&] { read_rows(directory.file("none.json")); }, "none.json");
  expect_error([&] { read_rows(directory.write("list.json", "[]")); }, "list.json", "rows");
  expect_error([&] { read_rows(directory.write("new.json", R"({"format": 9, "rows": []})")); }, "new.json", "format 9");
  expect_error([&] { read_rows(directory.write("bad.json", R"({"format": 1, "rows": [{"device": 3}]})")); }, "bad.json",
               "row 0");
  expect_error([&] { write_rows(directory.file("no/such.json"), {}); }, "no/such.json");
}

TEST(BenchRow, AShareAboveTheCeilingIsMarked) {
  Row row = some_row();
  row.share = {.median = 1.06, .min = 1, .max = 1.2};
  EXPECT_TRUE(row.ceiling_suspect());
  EXPECT_NE(to_text(table_of({row})).find("106 % (100-120) of read, ceiling suspect"), std::string::npos);
  row.share.median = 1.04;
  EXPECT_FALSE(row.ceiling_suspect());
}

TEST(BenchTable, ColumnsWithoutContentAreLeftOut) {
  Row row = some_row();
  row.numerics.clear();
  const std::string text = to_text(table_of({row}));
  EXPECT_EQ(text.find("numerics"), std::string::npos);
  EXPECT_NE(text.find("GFLOP/s"), std::string::npos);
}

TEST(BenchTable, MarkdownEscapesBarsAndAligns) {
  const Table table = {.columns = {{"name", false}, {"ms"}}, .rows = {{"a|b", "1"}, {"±", "22"}}};
  EXPECT_EQ(to_markdown(table), "| name |  ms |\n|------|----:|\n| a\\|b |   1 |\n| ±    |  22 |\n");
  EXPECT_EQ(to_text(table), "name  ms\na|b    1\n±     22\n");
}

TEST(BenchHtml, PageIsSelfContainedAndEscaped) {
  const std::string page = rows_page({some_row()});
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(page.find("A &lt;b&gt; &amp; &quot;c&quot;"), std::string::npos);
  EXPECT_EQ(page.find("A <b>"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
}

TEST(BenchHtml, RooflineHasADotPerRowWithWork) {
  Row latency = some_row();
  latency.flops = 0;
  Row other = some_row();
  other.flops *= 1000;
  const std::string svg = roofline_svg({some_row(), latency, other});
  size_t dots = 0;
  for (size_t at = 0; (at = svg.find("<circle", at)) != std::string::npos; ++at) ++dots;
  EXPECT_EQ(dots, 2u);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(roofline_svg({latency}), "");
}

TEST(BenchHtml, BandwidthsAreSlopesAndPeaksAreLevel) {
  Row math = some_row();
  math.flops *= 1000;
  math.ceiling = "bf16";
  math.ceiling_value = 400;
  Row warm = some_row();
  warm.ceiling = "cache";
  warm.ceiling_value = 90;
  const std::string svg = roofline_svg({some_row(), math, warm});
  EXPECT_NE(svg.find("read 20.0 GB/s"), std::string::npos);
  EXPECT_NE(svg.find("cache 90.0 GB/s"), std::string::npos);
  EXPECT_NE(svg.find("bf16 400 GFLOP/s"), std::string::npos);
  EXPECT_EQ(svg.find("cache 90 GFLOP/s"), std::string::npos);
}

TEST(BenchCompare, RatiosNoiseAndVerdicts) {
  Row fast = some_row();
  fast.seconds = {.n = 15, .median = 0.001, .min = 0.0009, .max = 0.002, .low = 0.00095, .high = 0.00105};
  fast.share.median = 0.25;
  const Comparison comparison = compare_rows({some_row()}, {fast});
  ASSERT_EQ(comparison.both.size(), 1u);
  const RowPair& pair = comparison.both.front();
  EXPECT_DOUBLE_EQ(pair.time_ratio(), 0.5);
  EXPECT_DOUBLE_EQ(pair.share_ratio(), 2.5);
  EXPECT_NEAR(pair.noise(), 0.0707, 1e-4);  // 5 % each
  EXPECT_TRUE(pair.differs());
  EXPECT_NE(to_text(table_of(comparison)).find("2.00 x faster"), std::string::npos);
  EXPECT_NE(to_text(table_of(compare_rows({fast}, {some_row()}))).find("2.00 x slower"), std::string::npos);
  EXPECT_NE(to_text(table_of(compare_rows({fast}, {fast}))).find("within the noise"), std::string::npos);
}

TEST(BenchCompare, RowsOfOneFileOnlyAreListed) {
  Row more_tokens = some_row();
  more_tokens.tokens = 64;
  const Comparison comparison = compare_rows({some_row(), more_tokens}, {some_row()});
  EXPECT_EQ(comparison.both.size(), 1u);
  ASSERT_EQ(comparison.only_a.size(), 1u);
  EXPECT_TRUE(comparison.only_b.empty());
  const auto lines = unmatched_lines(comparison, "a.json", "b.json");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("only in a.json"), std::string::npos);
  EXPECT_NE(lines[0].find("tokens=64"), std::string::npos);
}

TEST(BenchCompare, VariantsAreMatchedAcrossOnlyWhereThereIsOneEach) {
  Row other = some_row();
  other.variant = "wide2";
  EXPECT_EQ(compare_rows({some_row()}, {other}).both.size(), 1u);
  EXPECT_NE(to_text(table_of(compare_rows({some_row()}, {other}))).find("wide -> wide2"), std::string::npos);
  const Comparison several = compare_rows({some_row()}, {some_row(), other});
  ASSERT_EQ(several.both.size(), 1u);
  EXPECT_EQ(several.both.front().b.variant, "wide");
  ASSERT_EQ(several.only_b.size(), 1u);
  EXPECT_EQ(several.only_b.front().variant, "wide2");
}

}  // namespace
}  // namespace nibble::bench
