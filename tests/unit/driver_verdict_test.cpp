#include <gtest/gtest.h>

#include "tools/drivers/verdict.h"

namespace nibble::drivers {
namespace {

constexpr int64_t kNow = 1'800'000'000;

TEST(DriverVerdict, AGoodOneHoldsUntilSomethingChanges) {
  const std::string text = pack_verdict({}, "libraries", kNow);
  EXPECT_TRUE(unpack_verdict(text, "libraries", kNow + 1'000'000'000).has_value());
  EXPECT_FALSE(unpack_verdict(text, "other libraries", kNow).has_value());
}

TEST(DriverVerdict, ABadOneIsNotBelievedForEver) {
  const Verdict bad{.excluded = {"/x.json"}, .switches = {{"OFF", "1"}}, .messages = {"x.json died"}, .unusable = ""};
  const std::string text = pack_verdict(bad, "libraries", kNow);
  const std::optional<Verdict> soon = unpack_verdict(text, "libraries", kNow + 60);
  ASSERT_TRUE(soon.has_value());
  EXPECT_EQ(soon->excluded, bad.excluded);
  EXPECT_EQ(soon->switches, bad.switches);
  EXPECT_EQ(soon->messages, bad.messages);
  EXPECT_FALSE(unpack_verdict(text, "libraries", kNow + 7200).has_value());
  EXPECT_FALSE(unpack_verdict(text, "libraries", kNow - 60).has_value()) << "the clock was put back";
  const std::string useless = pack_verdict({.unusable = "all died"}, "libraries", kNow);
  EXPECT_FALSE(unpack_verdict(useless, "libraries", kNow + 7200).has_value());
}

TEST(DriverVerdict, WhatIsNoVerdictIsAskedForAgain) {
  for (const char* text : {"", "{}", "[]", "null", "{\"identity\":\"libraries\"}", "{\"excluded\":7}"}) {
    EXPECT_FALSE(unpack_verdict(text, "libraries", kNow).has_value()) << text;
  }
}

}  // namespace
}  // namespace nibble::drivers
