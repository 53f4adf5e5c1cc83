#include <gtest/gtest.h>

#include "tools/conformance/lane.h"

namespace nibble::conformance {
namespace {

Row row(const std::string& variant, Verdict verdict = Verdict::kPass) {
  Row made{.kernel = "gemm_bf16_f32", .variant = variant, .case_name = "any"};
  made.result.verdict = verdict;
  return made;
}

TEST(ConformanceLane, AVariantsRowsAreTakenTogetherAndOnce) {
  RowQueue queue({row("a"), row("b"), row("a"), row("c", Verdict::kUnsupported), row("b")});
  EXPECT_EQ(queue.take(), (std::vector<size_t>{0, 2}));
  EXPECT_EQ(queue.take(), (std::vector<size_t>{1, 4}));
  EXPECT_TRUE(queue.take().empty());
}

}  // namespace
}  // namespace nibble::conformance
