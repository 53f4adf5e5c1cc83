#include "host/text/utf8.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(Utf8, ReadsEveryCodePointItWrites) {
  for (char32_t code_point = 0; code_point < 0x110000; ++code_point) {
    std::string text;
    append_utf8(text, code_point);
    const Utf8Step step = utf8_step(text);
    if (code_point >= 0xd800 && code_point < 0xe000) {
      ASSERT_EQ(step.kind, Utf8Step::Kind::kInvalid) << uint32_t{code_point};
      continue;
    }
    ASSERT_EQ(step.kind, Utf8Step::Kind::kValid) << uint32_t{code_point};
    ASSERT_TRUE(step.code_point == code_point) << uint32_t{code_point};
    ASSERT_EQ(step.size, text.size());
    // Any beginning of it is truncated, never invalid.
    for (size_t size = 1; size < text.size(); ++size) {
      ASSERT_EQ(utf8_step(std::string_view(text).substr(0, size)).kind, Utf8Step::Kind::kTruncated)
          << uint32_t{code_point};
    }
  }
}

TEST(Utf8, ReplacesEachMaximalSubpart) {
  const std::string r(kReplacementCharacter);
  EXPECT_EQ(utf8_lossy("abc"), "abc");
  EXPECT_EQ(utf8_lossy("a\x80z"), "a" + r + "z");
  EXPECT_EQ(utf8_lossy("\xc0\xaf"), r + r);                  // overlong '/'
  EXPECT_EQ(utf8_lossy("\xe2\x82"), r);                      // truncated €
  EXPECT_EQ(utf8_lossy("\xe2\x82z"), r + "z");               // broken off €
  EXPECT_EQ(utf8_lossy("\xed\xa0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(utf8_lossy("\xf0\x9f\x98\xf0"), r + r);          // truncated twice
  EXPECT_EQ(utf8_lossy("\xf4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  // The example of the Unicode standard, table 3-11.
  EXPECT_EQ(utf8_lossy("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), r + r + r + r + "A");
}

TEST(Utf8, FindsTheValidPrefixPastWholeWordsOfAscii) {
  for (size_t ascii = 0; ascii < 20; ++ascii) {
    const std::string good = std::string(ascii, 'x') + "é";
    EXPECT_EQ(valid_utf8_prefix(good), good.size());
    EXPECT_EQ(valid_utf8_prefix(good + "\xff tail"), good.size());
  }
}

TEST(Utf8, KnowsTheTwentyFiveSpaces) {
  int count = 0;
  for (char32_t code_point = 0; code_point < 0x110000; ++code_point) count += is_unicode_space(code_point) ? 1 : 0;
  EXPECT_EQ(count, 25);
  EXPECT_TRUE(is_unicode_space(0x3000));
  EXPECT_FALSE(is_unicode_space(0x180e));
}

}  // namespace
}  // namespace nibble
