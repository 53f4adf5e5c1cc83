#include "host/text/tokenizer.h"

#include <fstream>
#include <functional>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/read_tokenizer.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"

namespace nibble {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kGolden = NIBBLE_SOURCE_DIR "/tests/golden/tokenizer";

std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  EXPECT_TRUE(stream) << file;
  return std::move(text).str();
}

Json golden_file() { return Json::parse(read_text(kGolden / "tokenizer.json")); }

Tokenizer from_json(const Json& file) { return Tokenizer(parse_tokenizer_file(file.dump(), "test.json")); }

// The message of the Error that reading `file` gives.
std::string error_of(const std::string& file) {
  try {
    parse_tokenizer_file(file, "test.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string random_bytes(Rng& rng, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) {
    // Half ASCII, half anything, with lead bytes of long sequences often enough to be cut off.
    const uint32_t kind = rng.below(8);
    if (kind < 4) bytes += static_cast<char>(rng.below(128));
    if (kind == 4) bytes += static_cast<char>(rng.below(256));
    if (kind == 5) bytes += static_cast<char>(0xe0 + rng.below(32));
    if (kind >= 6) append_utf8(bytes, static_cast<char32_t>(rng.below(0xd800)));
  }
  return bytes;
}

TEST(Tokenizer, GivesTheIdsOfTheTokenizersPackage) {
  const Tokenizer tokenizer = read_tokenizer(kGolden / "tokenizer.json");
  const Json cases = Json::parse(read_text(kGolden / "cases.json"));
  ASSERT_GE(cases.size(), 30u);
  for (const Json& one : cases) {
    const auto text = one["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), one["ids"].get<std::vector<uint32_t>>()) << text;
  }
}

TEST(Tokenizer, RoundTripsArbitraryBytes) {
  Json file = golden_file();
  // These two take white space along, which no decoder can give back.
  std::erase_if(file["added_tokens"].get_ref<Json::array_t&>(),
                [](const Json& token) { return token["lstrip"] == true || token["rstrip"] == true; });
  const Tokenizer tokenizer = from_json(file);
  Rng rng(7);
  for (int i = 0; i < 300; ++i) {
    const std::string bytes = random_bytes(rng, rng.below(200)) + (i % 3 == 0 ? "</think>\xe2\x82" : "");
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes);
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes, false)), bytes);
  }
}

TEST(Tokenizer, LeavesAddedTokensAsTextWhenAsked) {
  const Tokenizer tokenizer = read_tokenizer(kGolden / "tokenizer.json");
  const uint32_t think = tokenizer.token_to_id("<think>").value();
  EXPECT_EQ(tokenizer.encode("<think>"), std::vector<uint32_t>{think});
  const auto plain = tokenizer.encode("<think>", false);
  EXPECT_GT(plain.size(), 1u);
  EXPECT_EQ(tokenizer.decode(plain), "<think>");
}

TEST(Tokenizer, TellsTokensApart) {
  const Tokenizer tokenizer = read_tokenizer(kGolden / "tokenizer.json");
  EXPECT_EQ(tokenizer.vocab_size(), 564u);
  EXPECT_EQ(tokenizer.token_bytes(tokenizer.token_to_id("Ġthe").value()), " the");
  EXPECT_FALSE(tokenizer.token_to_id("no such token"));
  EXPECT_TRUE(tokenizer.is_special(tokenizer.token_to_id("</s>").value()));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.token_to_id("</think>").value()));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("<s>hi</think></s>"), true), "hi</think>");
  const uint32_t far[] = {564, 4'000'000'000};
  EXPECT_EQ(tokenizer.decode(far), "");
}

TEST(Tokenizer, ReadsMergesInBothForms) {
  Json file = golden_file();
  for (Json& merge : file["model"]["merges"]) {
    if (merge.is_array()) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const std::string text = read_text(kGolden / "make.py");
  EXPECT_EQ(from_json(file).encode(text), from_json(golden_file()).encode(text));
}

TEST(Tokenizer, TakesAWholeWordWithoutMergesIfTheFileSaysSo) {
  Json file = golden_file();
  file["model"]["vocab"]["ĠThe"] = 600;
  EXPECT_NE(from_json(file).encode(" The"), std::vector<uint32_t>{600});
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(from_json(file).encode(" The"), std::vector<uint32_t>{600});
}

// Expected words from the `tokenizers` package: Sequence([Split(…), ByteLevel(…)]).pre_tokenize_str(text).
TEST(Tokenizer, CutsAsEachBehaviorSays) {
  const auto words = [](SplitBehavior behavior, bool invert) {
    std::vector<SplitStep> steps;
    steps.push_back({.regex = Regex("-"), .behavior = behavior, .invert = invert});
    RegexMatcher matcher(22);
    std::vector<std::string> out;
    PreTokenizer(std::move(steps), {}).split("-the-final--countdown", matcher, [&](std::string_view word) {
      out.emplace_back(word);
    });
    return out;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(words(SplitBehavior::kRemoved, false), (Words{"the", "final", "countdown"}));
  EXPECT_EQ(words(SplitBehavior::kRemoved, true), (Words{"-", "-", "-", "-"}));
  EXPECT_EQ(words(SplitBehavior::kIsolated, false), (Words{"-", "the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(words(SplitBehavior::kMergedWithPrevious, false), (Words{"-", "the-", "final-", "-", "countdown"}));
  EXPECT_EQ(words(SplitBehavior::kMergedWithNext, false), (Words{"-the", "-final", "-", "-countdown"}));
  EXPECT_EQ(words(SplitBehavior::kContiguous, false), (Words{"-", "the", "-", "final", "--", "countdown"}));
}

TEST(Tokenizer, PrefixesASpaceBeforeTheGpt2Pattern) {
  RegexMatcher matcher(15);
  std::vector<std::string> words;
  PreTokenizer({}, {.add_prefix_space = true, .use_regex = true})
      .split("Hello, it's  me", matcher, [&](std::string_view word) { words.emplace_back(word); });
  EXPECT_EQ(words, (std::vector<std::string>{" Hello", ",", " it", "'s", " ", " me"}));
}

std::string split_error(const char* pattern, const std::string& text) {
  Json file = golden_file();
  file["pre_tokenizer"]["pretokenizers"] = {
      {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}},
      {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}};
  try {
    const Tokenizer tokenizer = from_json(file);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// At every position of the text, a hostile pattern stays below any limit for one position.
TEST(Tokenizer, LimitsWhatPatternsCostInTotal) {
  for (const char* pattern : {"(?:a|a){18}b", "(a+)+b", "(?:a?){22}b", "(?:(?:a|a)+)+$b"}) {
    const std::string message = split_error(pattern, std::string(3000, 'a') + " b");
    EXPECT_NE(message.find("test.json: regex '" + std::string(pattern) + "': backtracks too much"), std::string::npos)
        << message;
  }
}

TEST(Tokenizer, TakesLongRunsOfSpacesWithUsualPatterns) {
  const std::string line = std::string(100'000, ' ') + "word" + std::string(50'000, '\n') + std::string(5'000, ' ');
  std::string text;
  for (int i = 0; i < 5; ++i) text += line;
  for (const char* pattern : {R"(\s*[\r\n]+|\s+(?!\S)|\s+)", R"( ?\p{L}+|\s+(?!\S)|\s+)", R"(\s+$|\s+)"}) {
    EXPECT_EQ(split_error(pattern, text), "no error") << pattern;
  }
}

TEST(Tokenizer, StreamsWholeCodePointsOnly) {
  const Tokenizer tokenizer = read_tokenizer(kGolden / "tokenizer.json");
  Rng rng(11);
  for (int i = 0; i < 200; ++i) {
    // Random ids give every kind of broken sequence; encoded text gives whole ones cut between tokens.
    std::vector<uint32_t> ids = tokenizer.encode(random_bytes(rng, 20), false);
    for (int j = 0; j < 20; ++j) ids.push_back(rng.below(700));
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const uint32_t id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_EQ(valid_utf8_prefix(piece), piece.size());
      text += piece;
    }
    text += stream.finish();
    ASSERT_EQ(text, utf8_lossy(tokenizer.decode(ids)));
  }
}

TEST(Tokenizer, LimitsWhatEachByteOfATextIsComparedWith) {
  const auto error_of = [](const Json& file) {
    try {
      from_json(file);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  Json file = golden_file();
  file["added_tokens"].push_back({{"id", 700}, {"content", std::string(256, 'a')}});
  EXPECT_EQ(error_of(file), "no error");
  file["added_tokens"].back()["content"] = std::string(257, 'a');
  EXPECT_EQ(error_of(file), "test.json: an added token of 257 bytes, allowed 256");
  file = golden_file();
  Json& steps = file["pre_tokenizer"]["pretokenizers"];
  while (steps.size() < 33) steps.insert(steps.begin(), Json(steps.front()));
  EXPECT_EQ(error_of(file), "test.json: 33 pre_tokenizers, allowed 32");
}

TEST(Tokenizer, NamesWhatIsWrongWithAFile) {
  const auto error_with = [](const std::function<void(Json&)>& change) {
    Json file = golden_file();
    change(file);
    return error_of(file.dump());
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  };
  contains(error_of(""), "test.json: ");
  contains(error_of("[]"), "expected an object, found array");
  contains(error_of(std::string(100'000, '[')), "nested deeper than 32 levels");
  contains(error_of("{\"a\":" + std::string(100'000, '[')), "nested deeper than 32 levels");
  contains(error_of("{\"model\": 1, \"model\": 2}"), "key 'model' appears twice");
  contains(error_with([](Json& f) { f["model"]["vocab"]["a\nb"] = 5; }), "token 'a\\x0ab'");
  contains(error_with([](Json& f) { f.erase("model"); }), "'model' is null, expected an object");
  contains(error_with([](Json& f) { f["model"].erase("merges"); }), "'merges' is null");
  contains(error_with([](Json& f) { f["model"]["type"] = "Unigram"; }), "model type 'Unigram', expected BPE");
  contains(error_with([](Json& f) { f["model"]["byte_fallback"] = true; }), "byte_fallback is not supported");
  contains(error_with([](Json& f) { f["model"]["vocab"]["new"] = 5; }), "id 5 has a token already");
  contains(error_with([](Json& f) { f["model"]["vocab"]["new"] = -5; }), "token 'new': id -5");
  contains(error_with([](Json& f) { f["model"]["vocab"]["new"] = 1ull << 40; }), "token 'new': id 1099511627776");
  contains(error_with([](Json& f) { f["model"]["vocab"]["new"] = "5"; }), "token 'new': id \"5\"");
  contains(error_with([](Json& f) { f["model"]["vocab"].erase("!"); }), "no token for byte 0x21");
  contains(error_with([](Json& f) { f["model"]["merges"].push_back("! ÿÿ"); }), "a merge names 'ÿÿ'");
  contains(error_with([](Json& f) { f["model"]["merges"].push_back("a b c"); }), "merge \"a b c\" is not a pair");
  contains(error_with([](Json& f) { f["normalizer"] = {{"type", "NFC"}}; }), "normalizer NFC is not supported");
  contains(error_with([](Json& f) { f["pre_tokenizer"] = {{"type", "Metaspace"}}; }), "Metaspace is not supported");
  contains(error_with([](Json& f) { f["added_tokens"][0]["id"] = 9; }), "added token '<s>': id 9");
  contains(error_with([](Json& f) { f["added_tokens"][0]["single_word"] = true; }), "single_word is not supported");
  const auto with_pattern = [](Json& f, const char* pattern) {
    f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", pattern}};
  };
  contains(error_with([&](Json& f) { with_pattern(f, "(a"); }), "regex '(a': missing closing parenthesis");
  contains(error_with([&](Json& f) { with_pattern(f, "\\w+"); }), "\\w is not supported");
  contains(error_with([&](Json& f) { with_pattern(f, "[a&&[^b]]"); }), "class intersection");
}

TEST(Tokenizer, StopsARunawayPattern) {
  Json file = golden_file();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(a+)+$"}};
  const Tokenizer tokenizer = from_json(file);
  EXPECT_THROW(tokenizer.encode(std::string(5000, 'a') + "!"), Error);
}

// The published pattern backs up through a run of spaces that no line end follows.
TEST(Tokenizer, TakesLongRunsOfOneCharacter) {
  const Tokenizer tokenizer = read_tokenizer(kGolden / "tokenizer.json");
  const std::string spaces = std::string(1'200'000, ' ') + "x";
  EXPECT_TRUE(tokenizer.decode(tokenizer.encode(spaces)) == spaces);
  for (const char* letter : {"a", "中", "!", "\xff"}) {
    std::string run;
    while (run.size() < 100'000) run += letter;
    EXPECT_TRUE(tokenizer.decode(tokenizer.encode(run)) == run) << letter;
  }
}

TEST(Tokenizer, SurvivesDamagedFiles) {
  const std::string good = read_text(kGolden / "tokenizer.json");
  Rng rng(3);
  const std::string text = "The quick 123 <think>\xff über 今天";
  int usable = 0;
  for (int i = 0; i < 120; ++i) {
    std::string file = good;
    if (i % 4 == 0) file.resize(rng.below(static_cast<uint32_t>(good.size())));
    for (uint32_t flips = rng.below(4); flips > 0 && !file.empty(); --flips) {
      constexpr std::string_view kBytes = "{}[]\",:0-9e\\x\xff";
      file[rng.below(static_cast<uint32_t>(file.size()))] = kBytes[rng.below(kBytes.size())];
    }
    try {
      const Tokenizer tokenizer(parse_tokenizer_file(file, "test.json"));
      tokenizer.decode(tokenizer.encode(text));
      ++usable;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(usable, 0);
  EXPECT_LT(usable, 120);
}

}  // namespace
}  // namespace nibble
