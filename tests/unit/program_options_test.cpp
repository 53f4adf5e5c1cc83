#include "host/layers/program_options.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/synthetic/released_shapes.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

TEST(ProgramOptions, StepsEndWhereIndicesOf32BitsDo) {
  const ModelConfig flash = ModelConfig::parse(released_config("v4-flash", 0).dump(), "v4-flash");
  EXPECT_EQ(longest_step(flash, {}), UINT32_MAX / (flash.num_attention_heads * flash.head_dim));
  EXPECT_EQ(longest_step(flash, {.all_logits = true}), UINT32_MAX / flash.vocab_size);
  EXPECT_NO_THROW(require_step_length(flash, {}, longest_step(flash, {})));
  expect_error([&] { require_step_length(flash, {}, UINT32_MAX); }, "4294967295 tokens", "lower --chunk");
}

}  // namespace
}  // namespace nibble
