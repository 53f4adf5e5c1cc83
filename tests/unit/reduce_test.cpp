#include "tools/conformance/reduce.h"

#include <gtest/gtest.h>

#include "runtime/core/kernel_table.h"
#include "tools/conformance/plan.h"

namespace nibble::conformance {
namespace {

Row failing_row() {
  const KernelSpec& kernel = kernels::gemm_bf16_f32();
  Row row{.kernel = "gemm_bf16_f32", .variant = "portable", .result = {.verdict = Verdict::kFail}};
  row.case_name = kernel.cases().at(row.case_index).name;
  return row;
}

// rows and cols of the row's matrix, made as the row says.
std::pair<uint32_t, uint32_t> shape_of(const Row& row) {
  Rng rng(row.seed);
  const CaseData data = case_of(kernels::gemm_bf16_f32(), row).make(rng);
  uint32_t words[2];
  std::memcpy(words, data.params.data(), sizeof(words));
  EXPECT_EQ(data.bindings.at(1).content.size(), size_t{words[0]} * words[1] * 2);
  return {words[0], words[1]};
}

TEST(Reduce, FindsTheSmallestThatFailsWhereTheHostIsRight) {
  Row row = failing_row();
  const auto [rows, cols] = shape_of(row);
  ASSERT_GT(rows, 8u);
  ASSERT_GT(cols, 64u);
  size_t runs = 0;
  reduce(row, [&](const Row& smaller, bool on_host) -> CaseResult {
    ++runs;
    const auto [r, c] = shape_of(smaller);
    const bool is_wrong = on_host ? r == 5 : r >= 5 && c >= 64;
    return {.verdict = is_wrong ? Verdict::kFail : Verdict::kPass, .message = std::to_string(r)};
  });
  EXPECT_EQ(shape_of(row), std::pair(6u, 64u));
  EXPECT_EQ(row.smallest, "rows=6,cols=64");
  EXPECT_EQ(row.result.message, "6");
  EXPECT_LT(runs, 80u);
}

TEST(Reduce, LeavesAloneWhatDoesNotFailAgainOrFailsEverywhere) {
  for (const bool fails_everywhere : {false, true}) {
    Row row = failing_row();
    reduce(row, [&](const Row&, bool) -> CaseResult {
      return {.verdict = fails_everywhere ? Verdict::kFail : Verdict::kPass};
    });
    EXPECT_TRUE(row.smallest.empty());
    EXPECT_TRUE(row.sizes.empty());
  }
}

// Whatever the sizes, the host's kernel must be right there: `reduce` relies on every combination being a problem.
TEST(Reduce, CasesAtTheirSmallestAreProblems) {
  CaseRunner host("cpu", {});
  size_t resized = 0;
  for (const KernelSpec* kernel : kernel_table()) {
    const std::vector<KernelCase> cases = kernel->cases();
    for (uint32_t i = 0; i < cases.size(); ++i) {
      if (cases[i].sizes.empty()) continue;
      Row row{.kernel = std::string(kernel->name), .variant = "cpp", .case_name = cases[i].name, .case_index = i};
      for (const CaseSize& size : cases[i].sizes) row.sizes.push_back(size.multiple);
      const CaseResult result = host.run(*kernel, row.variant, case_of(*kernel, row), case_options(row, false));
      EXPECT_TRUE(result.verdict == Verdict::kPass || result.verdict == Verdict::kSkipped)
          << row.name() << ": " << result.message;
      ++resized;
    }
  }
  EXPECT_GT(resized, 100u);
}

}  // namespace
}  // namespace nibble::conformance
