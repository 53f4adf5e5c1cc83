#include "host/text/json_text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

TEST(JsonText, ParsesWithinItsLimits) {
  const JsonLimits limits = {.max_bytes = 40, .max_depth = 2, .max_values = 4};
  EXPECT_EQ(parse_json(R"({"a": [1, -2.5]})", "x", limits).dump(), R"({"a":[1,-2.5]})");
  expect_error([&] { parse_json("[1, [[2]]]", "x.json", limits); }, "x.json", "nested deeper than 2");
  expect_error([&] { parse_json("[1, 2, 3, 4]", "x.json", limits); }, "x.json", "more than 4 JSON values");
  expect_error([&] { parse_json("[[], [], {}, {}]", "x.json", limits); }, "x.json", "more than 4 JSON values");
  expect_error([&] { parse_json(std::string(41, ' '), "x.json", limits); }, "x.json", "41 bytes of JSON, allowed 40");
}

TEST(JsonText, RefusesARepeatedKeyInOneObjectOnly) {
  EXPECT_EQ(parse_json(R"([{"a": {"a": 1}}, {"a": 2}])", "x").size(), 2u);
  expect_error([] { parse_json(R"({"a": 1, "b": {"c": 1, "c": 2}})", "x.json"); }, "x.json", "'c' appears twice");
}

TEST(JsonText, ShortensAndEscapesWhatItQuotes) {
  EXPECT_EQ(json_excerpt(nlohmann::json("a\n\u00e9")), "\"a\\n\\u00e9\"");
  EXPECT_EQ(json_excerpt(nlohmann::json(std::string(100, 'x'))).size(), 63u);
  EXPECT_EQ(printable("a\n\x1b[0m \u00e9"), "a\\x0a\\x1b[0m \u00e9");
  EXPECT_LT(printable(std::string(10000, 'x')).size(), 300u);
}

TEST(JsonText, ReadsWholeFiles) {
  const TempDirectory directory;
  const std::string text("a\0b\n", 4);
  EXPECT_EQ(read_text_file(directory.write("x", text), 4), text);
  EXPECT_EQ(read_text_file(directory.write("empty", ""), 0), "");
  expect_error([&] { read_text_file(directory.file("x"), 3); }, "4 bytes, allowed 3");
}

}  // namespace
}  // namespace nibble
