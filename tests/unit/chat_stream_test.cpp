#include "host/text/chat_stream.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/text/python_json.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"

namespace nibble {

bool operator==(const ToolCall& a, const ToolCall& b) { return a.name == b.name && a.arguments == b.arguments; }
bool operator==(const ParsedCompletion& a, const ParsedCompletion& b) {
  return a.reasoning == b.reasoning && a.content == b.content && a.tool_calls == b.tool_calls;
}
void PrintTo(const ParsedCompletion& completion, std::ostream* out) { *out << completion_message(completion).dump(); }

namespace {

const std::string kEos(kEosToken);
const std::string kOpen = "\n\n<｜DSML｜tool_calls>\n";
const std::string kClose = "\n</｜DSML｜tool_calls>";

std::string parameter(const std::string& name, const std::string& value, bool is_string = true) {
  return "<｜DSML｜parameter name=\"" + name + "\" string=\"" + (is_string ? "true" : "false") + "\">" + value +
         "</｜DSML｜parameter>";
}

std::string call(const std::string& name, const std::string& parameters = "") {
  return "<｜DSML｜invoke name=\"" + name + "\">\n" + parameters + "\n</｜DSML｜invoke>";
}

void append(ParsedCompletion& whole, const ParsedCompletion& piece) {
  whole.reasoning += piece.reasoning;
  whole.content += piece.content;
  whole.tool_calls.insert(whole.tool_calls.end(), piece.tool_calls.begin(), piece.tool_calls.end());
}

struct Outcome {
  ParsedCompletion completion;
  FinishReason reason;
};

Outcome run(const std::string& text, bool thinking = false) {
  CompletionStream stream(thinking);
  ParsedCompletion pieces = stream.push(text);
  append(pieces, stream.finish());
  EXPECT_EQ(pieces, stream.completion());
  return {pieces, stream.finish_reason()};
}

// In pieces of random sizes; what comes out in pieces is what is there in the end.
Outcome run_cut(const std::string& text, bool thinking, Rng& rng, uint32_t longest) {
  CompletionStream stream(thinking);
  ParsedCompletion pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t size = 1 + rng.below(longest);
    append(pieces, stream.push(std::string_view(text).substr(at, size)));
    at += size;
  }
  append(pieces, stream.finish());
  EXPECT_EQ(pieces, stream.completion());
  return {pieces, stream.finish_reason()};
}

TEST(CompletionStream, CutsAtTheFirstEndOfReasoning) {
  const Outcome two = run("R</think>A</think>B" + kEos, true);
  EXPECT_EQ(two.completion, (ParsedCompletion{"R", "A</think>B", {}}));
  EXPECT_EQ(two.reason, FinishReason::kStop);
  EXPECT_EQ(run("A</think>B" + kEos).completion, (ParsedCompletion{"", "A</think>B", {}}));
  EXPECT_EQ(run("still thinking", true).completion, (ParsedCompletion{"still thinking", "", {}}));
  EXPECT_EQ(run("still thinking", true).reason, FinishReason::kCut);
}

TEST(CompletionStream, TakesWholeCalls) {
  const std::string calls =
      call("f", parameter("arguments", "a <") + "\n" + parameter("n", "[true, {\"k\": NaN}]", false)) + "\n" +
      call("g", parameter("t", "\"q\"\n</x>\n"));
  const Outcome both = run("Hi." + kOpen + calls + kClose + kEos);
  EXPECT_EQ(both.reason, FinishReason::kToolCalls);
  EXPECT_EQ(
      both.completion,
      (ParsedCompletion{
          "", "Hi.", {{"f", R"({"arguments": "a <", "n": [true, {"k": NaN}]})"}, {"g", R"({"t": "\"q\"\n</x>\n"})"}}}));
  // The end of the block, the end of the sentence or the gap may be missing; text may follow.
  EXPECT_EQ(run("Hi." + kOpen + calls).completion, both.completion);
  EXPECT_EQ(run("Hi." + kOpen + calls).reason, FinishReason::kCut);
  EXPECT_EQ(run("Hi." + kOpen.substr(2) + calls + kClose).completion, both.completion);
  ParsedCompletion more = both.completion;
  more.content += " Done.";
  EXPECT_EQ(run("Hi." + kOpen + calls + kClose + " Done." + kEos).completion, more);
}

TEST(CompletionStream, ACallEndsTheReasoning) {
  EXPECT_EQ(run("R" + kOpen + call("f") + kClose + kEos, true).completion, (ParsedCompletion{"R", "", {{"f", "{}"}}}));
  EXPECT_EQ(run("R" + kOpen + call("f") + kClose + "</think>A", true).completion,
            (ParsedCompletion{"R", "</think>A", {{"f", "{}"}}}));
  // One that is none does not.
  const std::string broken = kOpen + "<｜DSML｜invoke name=\"f\">";
  EXPECT_EQ(run("R" + broken + "</think>A" + kEos, true).completion, (ParsedCompletion{"R" + broken, "A", {}}));
}

TEST(CompletionStream, WholeCallsSurviveDamagedNeighbours) {
  const std::string good = call("g", parameter("x", "1", false));
  const ToolCall want = {"g", R"({"x": 1})"};
  const std::string damaged[] = {
      "<｜DSML｜invoke name=\"f\"\n" + parameter("a", "1") + "\n</｜DSML｜invoke>",
      "<｜DSML｜invoke>\n" + parameter("a", "1") + "\n</｜DSML｜invoke>",
      call("f", "<｜DSML｜parameter name=\"a\" string=\"true\">1"),
      call("f", "<｜DSML｜parameter name=\"a\" string=\"maybe\">1</｜DSML｜parameter>"),
      call("f", "<｜DSML｜parameter string=\"true\">1</｜DSML｜parameter>"),
      call("f", parameter("a", "1") + "\n" + parameter("a", "2")),
      call("f", parameter("a", "1") + " and"),
      call("f", "text"),
      "<｜DSML｜invoke name=\"f\">\n" + parameter("a", "1"),
      "words",
  };
  for (const std::string& other : damaged) {
    for (const std::string& calls : {other + "\n" + good, good + "\n" + other, other + "\n" + good + "\n" + other}) {
      const Outcome outcome = run("A" + kOpen + calls + kClose + kEos);
      ASSERT_EQ(outcome.completion.tool_calls.size(), 1u) << calls;
      EXPECT_EQ(outcome.completion.tool_calls[0], want);
      // What is damaged stays to be read.
      const std::string kept = other.substr(0, other.find_last_not_of('\n') + 1);
      EXPECT_NE(outcome.completion.content.find(kept.substr(0, kept.find("\n</｜DSML｜invoke>"))), std::string::npos)
          << outcome.completion.content;
    }
  }
}

TEST(CompletionStream, TextThatIsNoCallIsKeptByteForByte) {
  const std::string texts[] = {kOpen + "no call" + kClose,
                               kOpen + kClose.substr(1),
                               kOpen,
                               kOpen + "  \n",
                               kOpen + "<｜DSML｜invoke name=\"f",
                               "\n\n<｜DSML｜tool_ca",
                               "a\n\n",
                               "</thin",
                               "<｜end▁of",
                               kOpen + call("f").substr(0, 30)};
  for (const std::string& text : texts) {
    EXPECT_EQ(run(text).completion, (ParsedCompletion{"", text, {}}));
    EXPECT_EQ(run(text + kEos).completion, (ParsedCompletion{"", text, {}}));
    EXPECT_EQ(run(text, true).completion, (ParsedCompletion{text, "", {}}));
  }
}

TEST(CompletionStream, AValueThatIsNoJsonIsAString) {
  EXPECT_EQ(run(kOpen + call("f", parameter("a", "yes", false))).completion.tool_calls.at(0).arguments,
            R"({"a": "yes"})");
  EXPECT_EQ(run(kOpen + call("f", parameter("a", "true", false))).completion.tool_calls.at(0).arguments,
            R"({"a": true})");
}

TEST(CompletionStream, ReplacesBadBytes) {
  EXPECT_EQ(run("a\xff\xf0\x9f").completion.content, "a\uFFFD\uFFFD");
  CompletionStream stream(false);
  EXPECT_EQ(stream.push("\xf0\x9f").content, "");
  EXPECT_EQ(stream.push("\x98\x80").content, "😀");
}

TEST(CompletionStream, HoldsBackOnlyWhatMayBeAMarker) {
  CompletionStream stream(true);
  EXPECT_EQ(stream.push("a <").reasoning, "a ");
  EXPECT_EQ(stream.push("b").reasoning, "<b");
  EXPECT_EQ(stream.push("\n").reasoning, "");
  EXPECT_EQ(stream.push("\n\n").reasoning, "\n");
  EXPECT_EQ(stream.push("x</think").reasoning, "\n\nx");
  EXPECT_EQ(stream.push(">y").content, "y");
  EXPECT_EQ(stream.push("</think>").content, "</think>");
  EXPECT_EQ(stream.push("\n\n<｜DSML｜tool_calls>\n" + call("f")).tool_calls.size(), 1u);
  EXPECT_EQ(stream.push(kEos + "z").content, "");
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.push("z").content, "");
}

// Where the strict parser finds nothing wrong, both say the same; the next prompt has what the model wrote.
TEST(CompletionStream, AgreesWithTheStrictParser) {
  Rng rng(11);
  constexpr const char* kTexts[] = {"", "a", "多行\n文", "\"q\\\" \t", "<x name=\"y\">", "é😀", "</", "<", "a\n"};
  const auto text = [&] { return std::string(kTexts[rng.below(std::size(kTexts))]); };
  for (int i = 0; i < 500; ++i) {
    std::string written = text() + "</think>" + text();
    for (uint32_t n = rng.below(3), k = 0; k < n; ++k) {
      written += k == 0 ? kOpen : "\n";
      std::string parameters;
      if (rng.below(2) == 0) parameters = parameter("t" + text(), text());
      if (rng.below(2) == 0) parameters += (parameters.empty() ? "" : "\n") + parameter("n", "[1.50, null]", false);
      written += call("name" + text(), parameters);
      if (k + 1 == n) written += kClose;
    }
    written += kEos;
    ASSERT_EQ(run(written, true).completion, parse_completion(written, true)) << written;
  }
}

// Random pieces of the format, random bytes among them, random cuts.
TEST(CompletionStream, CutsMakeNoDifference) {
  Rng rng(4);
  const std::string pieces[] = {"a",
                                "\n",
                                "\n\n",
                                " ",
                                "<",
                                "</",
                                "</think>",
                                "<think>",
                                "<｜DSML｜",
                                "<｜DSML｜tool_calls>",
                                "</｜DSML｜tool_calls>",
                                "<｜DSML｜invoke",
                                " name=\"f\">\n",
                                "</｜DSML｜invoke>",
                                "<｜DSML｜parameter",
                                " name=\"x\" string=\"true\">",
                                " name=\"y\" string=\"false\">",
                                "1",
                                "</｜DSML｜parameter>",
                                "\xe2\x82",
                                "\xff",
                                "é",
                                kEos,
                                kEos.substr(0, 9),
                                kOpen,
                                kClose,
                                call("g", parameter("x", "v")),
                                parameter("z", "[1]", false),
                                call("h"),
                                "\n" + call("i")};
  size_t calls = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text;
    for (uint32_t n = rng.below(16); n > 0; --n) {
      // The end of everything is rare, so that most texts go on.
      const std::string& piece = pieces[rng.below(std::size(pieces))];
      if (piece != kEos || rng.below(4) == 0) text += piece;
    }
    const bool thinking = rng.below(2) == 0;
    const Outcome whole = run(text, thinking);
    calls += whole.completion.tool_calls.size();
    for (const uint32_t longest : {1u, 3u, 40u}) {
      const Outcome cut = run_cut(text, thinking, rng, longest);
      ASSERT_EQ(cut.completion, whole.completion) << text;
      ASSERT_EQ(cut.reason, whole.reason) << text;
    }
  }
  EXPECT_GT(calls, 300u);
}

// A long argument that comes token by token, and calls that all lack their end, cost no more than their length.
TEST(CompletionStream, TakesTimeInProportion) {
  CompletionStream stream(false);
  stream.push(kOpen + "<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"a\" string=\"true\">");
  for (int i = 0; i < 300'000; ++i) stream.push("a<b ");
  stream.push("</｜DSML｜parameter>\n</｜DSML｜invoke>");
  ASSERT_EQ(stream.completion().tool_calls.size(), 1u);
  EXPECT_EQ(stream.completion().tool_calls[0].arguments.size(), 1'200'000 + std::string(R"({"a": ""})").size());
  std::string endless = kOpen;
  for (int i = 0; i < 20'000; ++i)
    endless += "<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"a\" string=\"true\">x";
  EXPECT_EQ(run(endless).completion.content, endless);
}

}  // namespace
}  // namespace nibble
