#include <utility>

#include <gtest/gtest.h>

#include "host/checkpoint/config.h"

namespace nibble {
namespace {

TEST(LayerPlan, FollowsTheRatio) {
  for (const auto& [ratio, kind] : {std::pair{0u, "window"}, std::pair{4u, "csa"}, std::pair{24u, "hca"}}) {
    SCOPED_TRACE(ratio);
    const bool is_csa = ratio == 4;
    const LayerPlan plan = LayerPlan::of_ratio(ratio);
    EXPECT_EQ(attention_kind_name(plan.attention()), kind);
    EXPECT_EQ(plan.compresses(), ratio != 0);
    EXPECT_EQ(plan.overlap, is_csa);
    EXPECT_EQ(plan.indexed, is_csa);
    EXPECT_FALSE(plan.hash_routed);
  }
}

}  // namespace
}  // namespace nibble
