// The DeepSeek-V4 chat format: messages to the prompt's text, and a completion's text back to a message. Follows the
// reference program published with the weights (encoding_dsv4.py) byte for byte; where that one stops with a Python
// exception, these throw Error. Stateless and thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace nibble {

class PythonJson;

struct ChatOptions {
  bool thinking = false;
  std::string_view effort_instruction = {};  // begins the prompt in thinking mode: host/text/chat_effort.h
  bool drop_reasoning = true;  // leave out the reasoning before the last question, unless any message has tools
  bool add_bos = true;
  std::string_view source = "chat";  // names the request in errors and warnings
};

// `request` is a list of messages in OpenAI's form, or an object with "messages" and perhaps "tools", which then go to
// the system message. Roles: system, user, assistant, tool, latest_reminder, developer. Content is a string or a list
// of text parts for every role; `prefix` leaves the last message open. What has no place in the prompt is an error
// that names the message and the field, unless it says nothing.
std::string encode_request(const PythonJson& request, const ChatOptions& options);
// The same for messages that hold no numbers of their own.
std::string encode_chat(const nlohmann::ordered_json& request, const ChatOptions& options);

// The "reasoning_effort" of a request that is an object; empty where it has none.
std::string requested_effort(const PythonJson& request, std::string_view source);

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
