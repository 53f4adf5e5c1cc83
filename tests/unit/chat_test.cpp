#include "host/chat.h"

#include <bit>
#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/chat_tokens.h"
#include "host/json_text.h"
#include "host/python_json.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

const std::string kGolden = NIBBLE_SOURCE_DIR "/tests/golden/chat-encoding/";

std::string golden_text(const std::string& name) { return read_text_file(kGolden + name, 1 << 20); }
Json golden_request(const std::string& name) { return parse_ordered_json(golden_text(name), name); }

std::string encode(const char* request, ChatOptions options = {}) {
  options.add_bos = false;
  return encode_chat(parse_ordered_json(request, "test"), options);
}

std::string encode_error(const char* request) {
  try {
    encode(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string parse_error(const std::string& text, bool thinking = false) {
  try {
    parse_completion(text, thinking);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_CONTAINS(text, part) \
  EXPECT_NE(std::string(text).find(part), std::string::npos) << "'" << (text) << "' lacks '" << (part) << "'"

constexpr ChatOptions kThinking = {.thinking = true};

TEST(Chat, EncodesThePublishedPairs) {
  EXPECT_EQ(encode_chat(golden_request("input_1.json"), kThinking), golden_text("output_1.txt"));
  EXPECT_EQ(encode_chat(golden_request("input_3.json"), kThinking), golden_text("output_3.txt"));
}

// Every assistant turn of the published prompts, parsed, is the message it was made from.
TEST(Chat, ParsesThePublishedTurnsBack) {
  int turns = 0;
  for (const char* name : {"1", "3"}) {
    const std::string prompt = golden_text(std::string("output_") + name + ".txt");
    Json request = golden_request(std::string("input_") + name + ".json");
    if (request.is_object()) request = Json(request["messages"]);
    size_t at = 0;
    for (const Json& message : request) {
      if (message["role"] != "assistant") continue;
      const std::string start = std::string(kAssistantToken) + std::string(kThinkStart);
      const size_t begin = prompt.find(start, at) + start.size();
      at = prompt.find(kEosToken, begin) + kEosToken.size();
      const ParsedCompletion parsed = parse_completion(std::string_view(prompt).substr(begin, at - begin), true);
      EXPECT_EQ(parsed.reasoning, message["reasoning_content"]);
      EXPECT_EQ(parsed.content, message.value("content", ""));
      const Json calls = message.value("tool_calls", Json::array());
      ASSERT_EQ(parsed.tool_calls.size(), calls.size());
      for (size_t i = 0; i < calls.size(); ++i) {
        EXPECT_EQ(parsed.tool_calls[i].name, calls[i]["function"]["name"]);
        EXPECT_EQ(parsed.tool_calls[i].arguments, calls[i]["function"]["arguments"]);
      }
      ++turns;
    }
  }
  EXPECT_EQ(turns, 4);
}

TEST(Chat, EndsAQuestionAsTheModeSays) {
  constexpr const char* kQuestion = R"([{"role": "user", "content": "Hi"}])";
  EXPECT_EQ(encode(kQuestion), "<｜User｜>Hi<｜Assistant｜></think>");
  EXPECT_EQ(encode(kQuestion, kThinking), "<｜User｜>Hi<｜Assistant｜><think>");
  const std::string max = encode(kQuestion, {.thinking = true, .effort = ReasoningEffort::kMax});
  EXPECT_TRUE(max.starts_with("Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"));
  EXPECT_TRUE(max.ends_with("is left unchecked.\n\n<｜User｜>Hi<｜Assistant｜><think>"));
  EXPECT_EQ(encode(kQuestion, {.effort = ReasoningEffort::kMax}), encode(kQuestion));
  EXPECT_TRUE(encode_chat(Json::parse(kQuestion), {}).starts_with(std::string(kBosToken) + "<｜User｜>"));
}

TEST(Chat, DropsEarlierReasoningAndDeveloperMessages) {
  constexpr const char* kChat = R"([
    {"role": "system", "content": "S"}, {"role": "developer", "content": "D"}, {"role": "user", "content": "A"},
    {"role": "assistant", "content": "B", "reasoning_content": "R1"}, {"role": "user", "content": "C"},
    {"role": "assistant", "content": "D", "reasoning_content": "R2"}])";
  EXPECT_EQ(encode(kChat, kThinking),
            "S<｜User｜>A<｜Assistant｜></think>B<｜end▁of▁sentence｜>"
            "<｜User｜>C<｜Assistant｜><think>R2</think>D<｜end▁of▁sentence｜>");
  EXPECT_EQ(encode(kChat, {.thinking = true, .drop_reasoning = false}),
            "S<｜User｜>D<｜User｜>A<｜Assistant｜><think>R1</think>B<｜end▁of▁sentence｜>"
            "<｜User｜>C<｜Assistant｜><think>R2</think>D<｜end▁of▁sentence｜>");
  EXPECT_EQ(encode(kChat),
            "S<｜User｜>D<｜User｜>A<｜Assistant｜></think>B<｜end▁of▁sentence｜>"
            "<｜User｜>C<｜Assistant｜></think>D<｜end▁of▁sentence｜>");
}

TEST(Chat, MergesToolResultsInTheOrderOfTheCalls) {
  EXPECT_EQ(encode(R"([
      {"role": "user", "content": "Q"},
      {"role": "assistant", "content": "", "tool_calls": [
        {"id": "x", "function": {"name": "f", "arguments": "{\"n\": 1.50, \"s\": \"a\\nb\", \"o\": {\"k\": [null]}}"}},
        {"id": "y", "function": {"name": "g", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "y", "content": "second"},
      {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "first"}, {"type": "image"}]},
      {"role": "user", "content": "and?"}])"),
            "<｜User｜>Q<｜Assistant｜></think>\n\n<｜DSML｜tool_calls>\n"
            "<｜DSML｜invoke name=\"f\">\n"
            "<｜DSML｜parameter name=\"n\" string=\"false\">1.5</｜DSML｜parameter>\n"
            "<｜DSML｜parameter name=\"s\" string=\"true\">a\nb</｜DSML｜parameter>\n"
            "<｜DSML｜parameter name=\"o\" string=\"false\">{\"k\": [null]}</｜DSML｜parameter>\n"
            "</｜DSML｜invoke>\n"
            "<｜DSML｜invoke name=\"g\">\n\n</｜DSML｜invoke>\n"
            "</｜DSML｜tool_calls><｜end▁of▁sentence｜>"
            "<｜User｜><tool_result>first\n\n[Unsupported image]</tool_result>\n\n<tool_result>second</tool_result>"
            "\n\nand?<｜Assistant｜></think>");
}

TEST(Chat, AsksForTasksByToken) {
  EXPECT_EQ(encode(R"([{"role": "user", "content": "Q", "task": "query"}])"), "<｜User｜>Q<｜query｜>");
  EXPECT_EQ(encode(R"([{"role": "user", "content": "Q", "task": "action"}])"),
            "<｜User｜>Q<｜Assistant｜></think><｜action｜>");
  EXPECT_EQ(encode(R"([{"role": "user", "content": "Q", "task": "title"}, {"role": "assistant", "content": "T"}])",
                   kThinking),
            "<｜User｜>Q<｜title｜>T<｜end▁of▁sentence｜>");
}

TEST(Chat, AddsAResponseFormatAndLeavesTheEndOpen) {
  EXPECT_EQ(encode(R"([{"role": "system", "content": "S", "response_format": {"type": "object"}},
                       {"role": "latest_reminder", "content": "today"},
                       {"role": "user", "content": "Q"}, {"role": "assistant", "content": "So", "wo_eos": true}])"),
            "S\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
            "{\"type\": \"object\"}<｜latest_reminder｜>today<｜User｜>Q<｜Assistant｜></think>So");
}

TEST(Chat, PutsTheToolsOfARequestIntoASystemMessage) {
  const std::string text = encode(R"({"tools": [{"type": "function", "function": {"name": "f"}}],
                                      "messages": [{"role": "user", "content": "Q"}]})");
  EXPECT_TRUE(text.starts_with("\n\n## Tools\n\n")) << text;
  EXPECT_CONTAINS(text, "### Available Tool Schemas\n\n{\"name\": \"f\"}\n\nYou MUST");
  EXPECT_TRUE(text.ends_with("<｜User｜>Q<｜Assistant｜></think>")) << text;
}

TEST(Chat, NamesTheMessageThatIsWrong) {
  EXPECT_CONTAINS(encode_error("{}"), "chat: expected a list of messages");
  EXPECT_CONTAINS(encode_error("[]"), "chat: no messages");
  EXPECT_CONTAINS(encode_error("[1]"), "message 1: number, expected an object");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user"}, {"role": "bot"}])"), "message 2: role 'bot', expected system");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "content": [1]}])"), "'content' is array, expected a string");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "task": "x"}])"), "task 'x', expected action");
  EXPECT_CONTAINS(encode_error(R"([{"role": "developer"}])"), "a developer message without content");
  EXPECT_CONTAINS(encode_error(R"([{"role": "system", "tools": [{}]}])"), "a tool without 'function'");
  EXPECT_CONTAINS(encode_error(R"([{"role": "assistant", "tool_calls": [{"function": {}}]}])"),
                  "a tool call without a function name");
  EXPECT_CONTAINS(
      encode_error(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}])"),
      "arguments are array, expected an object");
  EXPECT_THROW(parse_effort("extreme"), Error);
}

TEST(Chat, ParsesAPlainAnswer) {
  const ParsedCompletion answer = parse_completion("Hello.<｜end▁of▁sentence｜>", false);
  EXPECT_EQ(answer.content, "Hello.");
  EXPECT_EQ(answer.reasoning, "");
  EXPECT_TRUE(answer.tool_calls.empty());
}

TEST(Chat, NamesWhatIsWrongWithACompletion) {
  EXPECT_CONTAINS(parse_error("cut"), "completion, byte 3 of 3: no end-of-sentence token");
  EXPECT_CONTAINS(parse_error("R<｜end▁of▁sentence｜>", true), "no </think> after the reasoning");
  EXPECT_CONTAINS(parse_error("a<｜end▁of▁sentence｜>b"), "text after the end-of-sentence token");
  EXPECT_CONTAINS(parse_error("a</think>b<｜end▁of▁sentence｜>"), "</think> inside the content");
  EXPECT_CONTAINS(parse_error("\xff<｜end▁of▁sentence｜>"), "not UTF-8");
  const std::string head = "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"f\">\n";
  const std::string tail = "\n</｜DSML｜invoke>\n</｜DSML｜tool_calls><｜end▁of▁sentence｜>";
  const auto with = [&](const std::string& parameters) { return parse_error(head + parameters + tail); };
  EXPECT_EQ(with("<｜DSML｜parameter name=\"a\" string=\"false\">[1, {}]</｜DSML｜parameter>"), "no error");
  EXPECT_CONTAINS(with("<｜DSML｜parameter name=\"a\" string=\"false\">[1, </｜DSML｜parameter>"), "is not JSON");
  EXPECT_CONTAINS(with("<｜DSML｜parameter name=\"a\" string=\"maybe\">1</｜DSML｜parameter>"), "does not say string=");
  EXPECT_CONTAINS(with("<｜DSML｜parameter string=\"true\">1</｜DSML｜parameter>"), "without a name");
  EXPECT_CONTAINS(with("<｜DSML｜parameter name=\"a\" string=\"true\">1</｜DSML｜parameter>\n"
                       "<｜DSML｜parameter name=\"a\" string=\"true\">2</｜DSML｜parameter>"),
                  "parameter 'a' comes twice");
  EXPECT_CONTAINS(parse_error(head), "tool call 'f' does not end");
  EXPECT_CONTAINS(parse_error(head + tail + "x"), "text after the end-of-sentence token");
}

// A message made of awkward strings survives the way to text and back.
TEST(Chat, RoundTripsRandomMessages) {
  Rng rng(5);
  constexpr const char* kTexts[] = {"", "a", "多行\n文", "\"q\\\" \t", "<x name=\"y\">", "\n\n", "é😀", "</"};
  const auto text = [&] { return std::string(kTexts[rng.below(std::size(kTexts))]); };
  for (int i = 0; i < 300; ++i) {
    ParsedCompletion message{.reasoning = text(), .content = text(), .tool_calls = {}};
    for (uint32_t calls = rng.below(3); calls > 0; --calls) {
      Json arguments = Json::object();
      if (rng.below(2) == 0) arguments["text"] = text();
      if (rng.below(2) == 0) arguments["ключ"] = rng.below(1000) * 0.125;
      if (rng.below(2) == 0) arguments["o"] = {{"list", {1, nullptr, text()}}, {"t", true}};
      message.tool_calls.push_back({.name = "name" + text(), .arguments = python_json(arguments)});
    }
    const Json request = {{{"role", "user"}, {"content", "Q"}}, completion_message(message)};
    const std::string start = "<｜User｜>Q<｜Assistant｜><think>";
    const std::string prompt = encode_chat(request, {.thinking = true, .add_bos = false});
    ASSERT_TRUE(prompt.starts_with(start));
    const ParsedCompletion parsed = parse_completion(std::string_view(prompt).substr(start.size()), true);
    ASSERT_EQ(completion_message(parsed), request[1]) << prompt;
  }
}

TEST(Chat, SurvivesDamagedCompletions) {
  const std::string prompt = golden_text("output_1.txt");
  const size_t begin = prompt.find(std::string(kThinkStart) + "The user") + kThinkStart.size();
  const std::string good = prompt.substr(begin, prompt.find(kEosToken, begin) + kEosToken.size() - begin);
  ASSERT_EQ(parse_error(good, true), "no error");
  Rng rng(9);
  int errors = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = good;
    const auto size = static_cast<uint32_t>(text.size());
    if (i % 3 == 0) text.resize(rng.below(size));
    if (i % 3 == 1) text.erase(rng.below(size), 1 + rng.below(12));
    if (i % 3 == 2) text.insert(rng.below(size), good.substr(rng.below(size), rng.below(30)));
    errors += parse_error(text, true) != "no error" ? 1 : 0;
  }
  EXPECT_GT(errors, 1500);
}

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

TEST(PythonJson, KeepsOrderAndEscapesLittle) {
  EXPECT_EQ(python_json(Json::parse(R"({"z": [1, -2, true, null], "a": {}, "é\u0001\n\"": "/\u007f😀"})")),
            "{\"z\": [1, -2, true, null], \"a\": {}, \"é\\u0001\\n\\\"\": \"/\x7f😀\"}");
}

}  // namespace
}  // namespace nibble
