// A completion is [reasoning</think>]content[tool calls]<｜end▁of▁sentence｜>.
#include <initializer_list>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "host/text/chat.h"
#include "host/text/chat_tokens.h"
#include "host/text/json_text.h"
#include "host/text/python_json.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

class CompletionParser {
 public:
  explicit CompletionParser(std::string_view text) : text_(text) {}

  ParsedCompletion parse(bool thinking) {
    ParsedCompletion result;
    if (thinking) {
      const auto [reasoning, stop] = read_until({kThinkEnd, kCallsStart});
      if (stop != kThinkEnd) bad("no </think> after the reasoning");
      result.reasoning = reasoning;
    }
    const auto [content, stop] = read_until({kEosToken, kCallsStart});
    result.content = content;
    if (stop.empty()) bad("no end-of-sentence token: the completion is cut off");
    if (stop == kCallsStart) {
      result.tool_calls = parse_calls();
      const auto [rest, end] = read_until({kEosToken});
      if (end.empty()) bad("no end-of-sentence token after the tool calls");
      if (!rest.empty()) bad("text after the tool calls");
    }
    if (at_ != text_.size()) bad("text after the end-of-sentence token");
    for (const std::string_view token : {kBosToken, kEosToken, kThinkStart, kThinkEnd, kDsmlToken}) {
      if (result.content.find(token) != std::string::npos) bad("{} inside the content", token);
      if (result.reasoning.find(token) != std::string::npos) bad("{} inside the reasoning", token);
    }
    return result;
  }

 private:
  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "completion, byte {} of {}: {}", at_, text_.size(),
         printable(fmt::format(format, std::forward<Args>(args)...)));
  }

  struct Stretch {
    std::string_view text;
    std::string_view stop;  // empty: the text ended first
  };

  // Up to the first of `stops`, which is passed over.
  Stretch read_until(std::initializer_list<std::string_view> stops) {
    size_t nearest = std::string_view::npos;
    std::string_view stop;
    for (const std::string_view candidate : stops) {
      const size_t found = text_.find(candidate, at_);
      if (found < nearest) {
        nearest = found;
        stop = candidate;
      }
    }
    const std::string_view before = text_.substr(at_, stop.empty() ? std::string_view::npos : nearest - at_);
    at_ += before.size() + stop.size();
    return {before, stop};
  }

  std::vector<ToolCall> parse_calls() {
    std::vector<ToolCall> calls;
    while (true) {
      const auto [between, stop] = read_until({kInvokeStart, kCallsEnd});
      if (stop.empty()) bad("the tool calls do not end");
      if (between != ">\n") bad("'{}' between tool calls, expected '>' and a line end", between);
      if (stop == kCallsEnd) return calls;
      calls.push_back(parse_call());
    }
  }

  // The text between the quotes of ` name="…">` and what follows the bracket.
  std::pair<std::string_view, std::string_view> parse_name(std::string_view head) const {
    const size_t begin = head.find_first_not_of(" \t\r\n");
    constexpr std::string_view kName = "name=\"";
    if (begin == std::string_view::npos || head.substr(begin, kName.size()) != kName) {
      bad("tool call '{}' without a name", head);
    }
    head.remove_prefix(begin + kName.size());
    const size_t end = head.find("\">\n");
    if (end == std::string_view::npos) bad("the name of a tool call does not end: '{}'", head);
    return {head.substr(0, end), head.substr(end + 3)};
  }

  ToolCall parse_call() {
    auto [head, stop] = read_until({kParameterStart, kInvokeEnd});
    const auto [name, rest] = parse_name(head);
    // A call without parameters has an empty line in their place.
    if (!rest.empty() && rest != "\n") bad("'{}' after the name of tool call '{}'", rest, name);
    std::set<std::string> seen;
    std::string arguments;
    while (stop == kParameterStart) {
      arguments += arguments.empty() ? "" : ", ";
      arguments += parse_parameter(seen);
      const Stretch next = read_until({kParameterStart, kInvokeEnd});
      if (!next.stop.empty() && next.text != ">\n") bad("'{}' after a parameter, expected a line end", next.text);
      stop = next.stop;
    }
    if (stop.empty()) bad("tool call '{}' does not end", name);
    return {std::string(name), "{" + arguments + "}"};
  }

  // ` name="…" string="true|false">value`, as a member of a JSON object.
  std::string parse_parameter(std::set<std::string>& seen) {
    const auto [text, stop] = read_until({kParameterEnd});
    constexpr std::string_view kName = " name=\"";
    if (stop.empty()) bad("a parameter does not end");
    if (!text.starts_with(kName)) bad("parameter '{}' without a name", text);
    const std::string_view body = text.substr(kName.size());
    constexpr std::string_view kString = "\" string=\"true\">";
    constexpr std::string_view kJson = "\" string=\"false\">";
    const size_t string_at = body.find(kString);
    const size_t json_at = body.find(kJson);
    if (string_at == json_at) bad("parameter '{}' does not say string=\"true\" or string=\"false\"", body);
    const bool is_string = string_at < json_at;
    const std::string name(body.substr(0, is_string ? string_at : json_at));
    const std::string_view value = body.substr(name.size() + (is_string ? kString : kJson).size());
    if (!seen.insert(name).second) bad("parameter '{}' comes twice", name);
    if (is_string) return python_string(name) + ": " + python_string(value);
    if (!is_python_json(value)) bad("parameter '{}': '{}' is not JSON", name, value);
    return python_string(name) + ": " + std::string(value);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

ParsedCompletion parse_completion(std::string_view text, bool thinking) {
  if (valid_utf8_prefix(text) != text.size()) {
    fail(ErrorCode::kInvalidFile, "completion, byte {} of {}: not UTF-8", valid_utf8_prefix(text), text.size());
  }
  return CompletionParser(text).parse(thinking);
}

nlohmann::ordered_json completion_message(const ParsedCompletion& completion) {
  nlohmann::ordered_json message = {
      {"role", "assistant"}, {"content", completion.content}, {"reasoning_content", completion.reasoning}};
  message["tool_calls"] = nlohmann::ordered_json::array();
  for (const ToolCall& call : completion.tool_calls) {
    message["tool_calls"].push_back(
        {{"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return message;
}

}  // namespace nibble
