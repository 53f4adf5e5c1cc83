#include "host/text/python_json.h"

#include <bit>
#include <cmath>

#include <gtest/gtest.h>

#include "runtime/base/error.h"
#include "runtime/base/rng.h"

namespace nibble {
namespace {

std::string dumped(std::string_view text) { return PythonJson::parse(text, "test").root().dump(); }

TEST(PythonJson, WritesFloatsAsReprDoes) {
  EXPECT_EQ(python_float(0.5), "0.5");
  EXPECT_EQ(python_float(3.0), "3.0");
  EXPECT_EQ(python_float(-0.0), "-0.0");
  EXPECT_EQ(python_float(123456.789), "123456.789");
  EXPECT_EQ(python_float(0.0001), "0.0001");
  EXPECT_EQ(python_float(0.00001), "1e-05");
  EXPECT_EQ(python_float(1e15), "1000000000000000.0");
  EXPECT_EQ(python_float(1e16), "1e+16");
  EXPECT_EQ(python_float(-1.5e300), "-1.5e+300");
  EXPECT_EQ(python_float(5e-324), "5e-324");
  Rng rng(1);
  for (int i = 0; i < 10'000; ++i) {
    const double value = std::bit_cast<double>(rng.next_u64());
    // stod refuses subnormals.
    if (!std::isnormal(value)) continue;
    ASSERT_EQ(std::stod(python_float(value)), value);
  }
}

TEST(PythonJson, KeepsTextsOfNumbersAndTheLastOfEachKey) {
  EXPECT_EQ(dumped("[18446744073709551616, -0, 1.50, 1e400, 1e-400, NaN, -Infinity]"),
            "[18446744073709551616, 0, 1.5, Infinity, 0.0, NaN, -Infinity]");
  EXPECT_EQ(dumped(R"({"a": 1, "b": 2, "a": [3], "c": 4, "b": {"a": 0, "a": 5}})"),
            R"({"a": [3], "b": {"a": 5}, "c": 4})");
  EXPECT_EQ(dumped(R"(["\ud83d\ude00", "\ud83d", "\ud83d\ud83d\ude00"])"), "[\"😀\", \"\uFFFD\", \"\uFFFD😀\"]");
}

TEST(PythonJson, SurvivesWhatIsNoJson) {
  Rng rng(3);
  constexpr std::string_view kBytes = "[]{},:\"\\u0eE-+.1nNaI tf\xff";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (uint32_t size = rng.below(12); size > 0; --size) text += kBytes[rng.below(kBytes.size())];
    if (!is_python_json(text)) continue;
    const std::string once = dumped(text);
    ASSERT_EQ(dumped(once), once) << text;
  }
}

TEST(PythonJson, KeepsOrderAndEscapesLittle) {
  EXPECT_EQ(dumped((R"({"z": [1, -2, true, null], "a": {}, "é\u0001\n\"": "/\u007f😀"})")),
            "{\"z\": [1, -2, true, null], \"a\": {}, \"é\\u0001\\n\\\"\": \"/\x7f😀\"}");
}

}  // namespace
}  // namespace nibble
