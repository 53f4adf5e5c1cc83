#include "host/text/chat.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/text/chat_tokens.h"
#include "host/text/json_text.h"
#include "host/text/python_json.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

const std::string kGolden = NIBBLE_SOURCE_DIR "/tests/golden/chat-encoding/";

std::string golden_text(const std::string& name) { return read_text_file(kGolden + name, 1 << 20); }
Json golden_request(const std::string& name) { return parse_ordered_json(golden_text(name), name); }
PythonJson golden_json(const std::string& name) { return PythonJson::parse(golden_text(name), name); }

std::string encode(const char* request, ChatOptions options = {}) {
  options.add_bos = false;
  return encode_request(PythonJson::parse(request, "test"), options);
}

std::string encode_error(const char* request) {
  try {
    encode(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// As Python writes it.
std::string python_text(const Json& value) { return PythonJson::parse(value.dump(), "test").root().dump(); }

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
  EXPECT_EQ(encode_request(golden_json("input_1.json"), kThinking), golden_text("output_1.txt"));
  EXPECT_EQ(encode_request(golden_json("input_3.json"), kThinking), golden_text("output_3.txt"));
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
  EXPECT_EQ(encode(kQuestion, {.thinking = true, .effort_instruction = "E"}), "E" + encode(kQuestion, kThinking));
  EXPECT_EQ(encode(kQuestion, {.effort_instruction = "E"}), encode(kQuestion));
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

TEST(Chat, TakesPartsForEveryRole) {
  constexpr const char* kPlain = R"([
    {"role": "system", "content": "S\n\nS2"}, {"role": "developer", "content": "D"},
    {"role": "latest_reminder", "content": "R"}, {"role": "user", "content": "Q\n\nQ2"},
    {"role": "assistant", "content": "A\n\nA2"}, {"role": "tool", "content": "T\n\nT2"}])";
  constexpr const char* kParts = R"([
    {"role": "system", "content": [{"type": "text", "text": "S"}, {"type": "text", "text": "S2"}]},
    {"role": "developer", "content": [{"type": "text", "text": "D"}]},
    {"role": "latest_reminder", "content": [{"type": "text", "text": "R"}]},
    {"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "Q2"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "A2"}]},
    {"role": "tool", "content": [{"type": "text", "text": "T"}, {"type": "text", "text": "T2"}]}])";
  EXPECT_EQ(encode(kParts), encode(kPlain));
  EXPECT_EQ(encode(R"([{"role": "user", "content": []}])"), encode(R"([{"role": "user"}])"));
}

TEST(Chat, TakesNoArgumentsForNone) {
  const auto call = [](const std::string& function) {
    return encode(
        ("[{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": " + function + "}]}]").c_str());
  };
  const std::string empty = call(R"({"name": "f", "arguments": "{}"})");
  EXPECT_TRUE(empty.starts_with("\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"f\">\n\n</｜DSML｜invoke>")) << empty;
  for (const char* function : {R"({"name": "f"})", R"({"name": "f", "arguments": null})",
                               R"({"name": "f", "arguments": {}})", R"({"name": "f", "arguments": "null"})"}) {
    EXPECT_EQ(call(function), empty) << function;
  }
  EXPECT_EQ(call(R"({"name": "f", "arguments": {"n": 18446744073709551616}})"),
            call(R"({"name": "f", "arguments": "{\"n\":18446744073709551616}"})"));
}

TEST(Chat, GoesOnWithAPrefix) {
  constexpr const char* kChat =
      R"([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "So", "prefix": true}])";
  EXPECT_EQ(encode(kChat), "<｜User｜>Q<｜Assistant｜></think>So");
  EXPECT_EQ(encode(kChat, kThinking), "<｜User｜>Q<｜Assistant｜><think></think>So");
  EXPECT_EQ(encode(R"([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "So", "prefix": false}])"),
            "<｜User｜>Q<｜Assistant｜></think>So<｜end▁of▁sentence｜>");
  EXPECT_CONTAINS(encode_error(R"([{"role": "assistant", "content": "So", "prefix": true}, {"role": "user"}])"),
                  "chat: message 1: 'prefix' is true, but only the last");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "content": "So", "prefix": true}])"), "message 1: 'prefix'");
  EXPECT_CONTAINS(encode_error(R"([{"role": "assistant", "prefix": 1}])"), "message 1: 'prefix' is number");
  EXPECT_CONTAINS(
      encode_error(R"([{"role": "assistant", "prefix": true, "tool_calls": [{"function": {"name": "f"}}]}])"),
      "message 1: 'prefix' is true, but a message with tool calls");
}

TEST(Chat, TakesEitherNameOfTheReasoning) {
  const auto with = [](const std::string& fields) {
    return "[{\"role\": \"user\", \"content\": \"Q\"}, {\"role\": \"assistant\", \"content\": \"A\", " + fields + "}]";
  };
  const std::string want = "<｜User｜>Q<｜Assistant｜><think>R</think>A<｜end▁of▁sentence｜>";
  EXPECT_EQ(encode(with(R"("reasoning_content": "R")").c_str(), kThinking), want);
  EXPECT_EQ(encode(with(R"("reasoning": "R")").c_str(), kThinking), want);
  EXPECT_EQ(encode(with(R"("reasoning": "R", "reasoning_content": null)").c_str(), kThinking), want);
  EXPECT_EQ(encode(with(R"("reasoning": "R", "reasoning_content": "R")").c_str(), kThinking), want);
  EXPECT_CONTAINS(encode_error(with(R"("reasoning": "R", "reasoning_content": "S")").c_str()),
                  "message 2: 'reasoning' and 'reasoning_content' differ");
}

TEST(Chat, TakesWhatExportsAddAndRefusesWhatWouldBeLost) {
  EXPECT_EQ(encode(R"([{"role": "user", "content": "Q", "id": "1", "created_at": 5, "tool_calls": null},
                       {"role": "assistant", "content": "A", "refusal": null, "annotations": [], "audio": null,
                        "function_call": null, "tool_calls": [], "reasoning_content": null, "prefix": false}])"),
            "<｜User｜>Q<｜Assistant｜></think>A<｜end▁of▁sentence｜>");
  for (const char* field : {R"("refusal": "no")", R"("audio": {"id": "a"})", R"("function_call": {"name": "f"})",
                            R"("annotations": [{}])", R"("content_blocks": [1])", R"("tools": [1])"}) {
    const std::string chat = std::string(R"([{"role": "user"}, {"role": "assistant", "content": "A", )") + field + "}]";
    const std::string name(field, std::string_view(field).find(':'));
    EXPECT_CONTAINS(encode_error(chat.c_str()),
                    "chat: message 2: '" + name.substr(1, name.size() - 2) + "' has no place");
  }
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "reasoning": "R"}])"), "message 1: 'reasoning' has no place");
  EXPECT_CONTAINS(encode_error(R"([{"role": "tool", "tool_calls": [1]}])"), "message 1: 'tool_calls' has no place");
  EXPECT_CONTAINS(encode_error(R"([{"role": "tool"}, {"role": "user", "task": "query"}])"), "message 2: 'task'");
  constexpr const char* kTools = R"("tools": [{"function": {"name": "f"}}])";
  const auto request = [](const std::string& fields) {
    return R"({"messages": [{"role": "user", "content": "Q"}], )" + fields + "}";
  };
  EXPECT_EQ(encode(request(R"("model": "m", "temperature": 0.5, "stream": true, "tool_choice": "auto")").c_str()),
            "<｜User｜>Q<｜Assistant｜></think>");
  EXPECT_CONTAINS(encode_error(request(R"("tool_choice": "none")").c_str()), "chat: 'tool_choice'");
  EXPECT_CONTAINS(encode_error(request(R"("response_format": {"type": "json_object"})").c_str()),
                  "chat: 'response_format'");
  EXPECT_CONTAINS(encode_error(request(R"("functions": [1])").c_str()), "chat: 'functions' has no place in a request");
  EXPECT_CONTAINS(
      encode_error(
          (std::string(R"({"messages": [{"role": "system", "tools": [{"function": {"name": "g"}}]}], )") + kTools + "}")
              .c_str()),
      "'tools' stand beside the messages and in message 1, and differ");
}

TEST(Chat, NamesTheMessageThatIsWrong) {
  EXPECT_CONTAINS(encode_error("{}"), "chat: expected a list of messages");
  EXPECT_CONTAINS(encode_error("[]"), "chat: no messages");
  EXPECT_CONTAINS(encode_error("[1]"), "message 1: number, expected an object");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user"}, {"role": "bot"}])"), "message 2: role 'bot', expected system");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "content": 1}])"), "'content' is number, expected a string");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "content": ["a"]}])"), "message 1: part 1 of 'content': string");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "content": [{"text": "a"}]}])"), "part 1 of 'content': no type");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}])"),
                  "'x' has no");
  EXPECT_CONTAINS(encode_error(R"([{"role": "user", "task": "x"}])"), "task 'x', expected action");
  EXPECT_CONTAINS(encode_error(R"([{"role": "developer"}])"), "a developer message without content");
  EXPECT_CONTAINS(encode_error(R"([{"role": "latest_reminder"}])"), "a latest_reminder without content");
  EXPECT_CONTAINS(encode_error(R"([{"role": "system", "tools": [{}]}])"), "message 1: tool 1: no 'function'");
  EXPECT_CONTAINS(encode_error(R"([{"role": "assistant", "tool_calls": [{"function": {}}]}])"),
                  "message 1: tool call 1: 'function': no name");
  EXPECT_CONTAINS(encode_error(R"([{"role": "assistant", "tool_calls": [{"type": "custom", "function": {}}]}])"),
                  "message 1: tool call 1: type 'custom', expected 'function'");
  EXPECT_CONTAINS(
      encode_error(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}])"),
      "'arguments' is JSON of array, expected of object");
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
      message.tool_calls.push_back({.name = "name" + text(), .arguments = python_text(arguments)});
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

}  // namespace
}  // namespace nibble
