// tools/offline: what compilers for absent GPUs say, and the table that is kept of it.
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tools/offline/compilers.h"
#include "tools/offline/process.h"
#include "tools/offline/table.h"

namespace nibble::offline {
namespace {

Report report(const std::string& target, const std::string& kernel, Figures figures) {
  return {.target = target, .compiler = "made up 1.0", .missing = "", .kernels = {{kernel, std::move(figures)}}};
}

TEST(OfflineTable, SurvivesTheTripThroughJson) {
  const std::vector<Report> before = {report("navi21", "a__gemv", {{"registers", 61}, {"spills", 0}}),
                                      report("sm_86", "a__gemv", {{"registers", 70}})};
  const std::vector<Report> after = parse_reports(to_json(before), "table.json");
  ASSERT_EQ(after.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after[i].target, before[i].target);
    EXPECT_EQ(after[i].compiler, before[i].compiler);
    EXPECT_EQ(after[i].kernels, before[i].kernels);
  }
  expect_error([] { parse_reports("{\"targets\": 1}", "table.json"); }, "table.json");
}

TEST(OfflineGates, NameEveryFigureThatIsTooHigh) {
  EXPECT_TRUE(broken_gates(report("navi21", "a__portable", {{"registers", 200}, {"scratch", 96}})).empty());
  EXPECT_EQ(broken_gates(report("dg2", "a__portable", {{"spills", 1}})).size(), 1u);
  EXPECT_EQ(broken_gates(report("sm_90", "a__gemv", {{"scratch", 4}})).size(), 1u);
  EXPECT_TRUE(broken_gates(report("navi21", "a__gemv", {{"registers", 64}})).empty());
  EXPECT_EQ(broken_gates(report("navi21", "a__gemv4", {{"registers", 65}})).size(), 1u);
  EXPECT_TRUE(broken_gates(report("sm_75", "a__gemv", {{"registers", 72}})).empty());
  EXPECT_EQ(broken_gates(report("sm_75", "a__gemv", {{"registers", 73}})).size(), 1u);
  EXPECT_TRUE(broken_gates(report("sm_75", "a__gemv4", {{"registers", 80}})).empty());
  EXPECT_EQ(broken_gates(report("sm_75", "a__gemv4", {{"registers", 81}})).size(), 1u);
  EXPECT_TRUE(broken_gates(report("gfx1100", "a__tile64", {{"registers", 108}, {"waves", 6}})).empty());
  EXPECT_EQ(broken_gates(report("gfx1100", "a__tile64", {{"registers", 109}, {"waves", 5}})).size(), 2u);
  EXPECT_TRUE(broken_gates(report("vega10", "a__tile64", {{"registers", 108}, {"waves", 2}})).empty())
      << "GCN counts waves of 64 in a smaller file";
  EXPECT_TRUE(broken_gates(report("navi21", "gemm_fp8_f32__wide", {{"spills", 9}})).empty());
}

TEST(OfflineRegressions, AreMissingKernelsAndWorseFigures) {
  const Report table = report("navi21", "a__gemv", {{"waves", 16}, {"instructions", 200}, {"inverse", 1000}});
  const auto findings = [&](Figures figures) {
    return regressions(report("navi21", "a__gemv", std::move(figures)), table).size();
  };
  EXPECT_EQ(findings({{"waves", 16}, {"instructions", 220}, {"inverse", 1100}}), 0u);
  EXPECT_EQ(findings({{"waves", 14}, {"instructions", 200}, {"inverse", 1000}}), 1u);
  EXPECT_EQ(findings({{"waves", 16}, {"instructions", 221}, {"inverse", 1101}}), 2u);
  EXPECT_EQ(regressions(report("navi21", "b__gemv", {}), table).size(), 2u) << "one is new, one is gone";
  Report other = report("navi21", "b__gemv", {});
  other.compiler = "made up 1.1";
  EXPECT_TRUE(regressions(other, table).empty()) << "another compiler's figures cannot be compared";
}

TEST(OfflineKernels, AreChosenByShellPatterns) {
  EXPECT_EQ(choose_kernels("gemm_fp8_f32__portable", false).size(), 1u);
  EXPECT_GT(choose_kernels("gemm_fp8_f32", true).size(), choose_kernels("gemm_fp8_f32", false).size());
  expect_error([] { choose_kernels("no_such_kernel", true); }, "no_such_kernel");
  expect_error([] { find_target("navi99"); }, "navi99", "navi21");
}

TEST(OfflineLogs, NumbersStandBesideTheirLabels) {
  const std::string log =
      "properties for a_fp8_f32\n    144 bytes stack frame, 8 bytes spill stores\nUsed 62 registers";
  EXPECT_EQ(number_after(log, "Used "), 62);
  EXPECT_EQ(number_before(log, " bytes stack frame"), 144);
  EXPECT_EQ(number_before(log, " bytes spill stores"), 8);
  EXPECT_EQ(number_before(log, " bytes spill loads"), 0);
}

TEST(OfflineProcess, GivesOutputExitCodeAndVariables) {
  const ProcessResult result =
      run_process({"sh", "-c", "echo \"$MADE_UP\"; echo two >&2; exit 3"}, {{"MADE_UP", "one"}});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "one\ntwo\n");
  EXPECT_EQ(run_process({"sh", "-c", "kill -9 $$"}).exit_code, 128 + 9);
  expect_error([] { run_process({"no-such-program-of-nibble"}); }, "no-such-program-of-nibble");
  EXPECT_TRUE(find_program("sh").has_value());
  EXPECT_FALSE(find_program("no-such-program-of-nibble").has_value());
}

}  // namespace
}  // namespace nibble::offline
