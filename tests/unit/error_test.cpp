#include "runtime/base/error.h"

#include <string>

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(Error, FailCarriesCodeAndFormattedMessage) {
  try {
    fail(ErrorCode::kInvalidFile, "{}: shape [{}, {}], expected [{}, {}]", "a.safetensors", 3, 4, 3, 8);
    FAIL() << "fail returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile);
    EXPECT_STREQ(error.what(), "a.safetensors: shape [3, 4], expected [3, 8]");
  }
}

TEST(Error, CheckThrowsInternalOnlyWhenFalse) {
  EXPECT_NO_THROW(check(true, "never {}", 1));
  try {
    check(false, "slot {} of {}", 7, 4);
    FAIL() << "check(false) returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_STREQ(error.what(), "slot 7 of 4");
  }
}

// A message may hold a user's file name, braces included: only the format string is a format string.
TEST(Error, ArgumentsAreNotFormattedAgain) {
  try {
    fail(ErrorCode::kNotFound, "{}: no such file", std::string("{}{0}.json"));
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "{}{0}.json: no such file");
  }
}

TEST(Error, IsAStandardException) { EXPECT_THROW(fail(ErrorCode::kIo, "x"), std::exception); }

}  // namespace
}  // namespace nibble
