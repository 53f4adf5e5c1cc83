// The DeepSeek-V4 chat format: messages to the prompt's text, and a completion's text back to a message. Follows the
// reference program published with the weights (encoding_dsv4.py) byte for byte; where that one stops with a Python
// exception, these throw Error. Stateless and thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace nibble {

enum class ReasoningEffort { kNormal, kMax };

struct ChatOptions {
  bool thinking = false;
  ReasoningEffort effort = ReasoningEffort::kNormal;  // kMax prepends an instruction; thinking mode only
  bool drop_reasoning = true;  // leave out the reasoning before the last question, unless any message has tools
  bool add_bos = true;
};

// "high" is the normal effort; anything but "high" and "max" is Error(kUsage).
ReasoningEffort parse_effort(std::string_view name);

// `request` is a list of messages in OpenAI's form, or an object with "messages" and perhaps "tools", which then go to
// the system message. Roles: system, user, assistant, tool, latest_reminder, developer.
std::string encode_chat(const nlohmann::ordered_json& request, const ChatOptions& options);

struct ToolCall {
  std::string name;
  std::string arguments;  // a JSON object, as text
};

struct ParsedCompletion {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
};

// `text` is all that the model wrote after the prompt, the end-of-sentence token included. A completion that is cut off
// or malformed is Error(kInvalidFile) with the place.
ParsedCompletion parse_completion(std::string_view text, bool thinking);

// As an assistant message that encode_chat takes.
nlohmann::ordered_json completion_message(const ParsedCompletion& completion);

}  // namespace nibble
