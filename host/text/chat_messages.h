// The messages of a chat as the prompt has them: tool results are part of the user's turn, in the order of the calls.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/text/python_json.h"

namespace nibble {

enum class ChatRole { kSystem, kUser, kAssistant, kReminder, kDeveloper };

struct ChatArgument {
  std::string name;
  bool is_string = false;
  std::string value;  // the string itself, or JSON text
};

struct ChatToolCall {
  std::string id;
  std::string name;
  std::vector<ChatArgument> arguments;
};

struct UserBlock {
  bool is_tool_result = false;
  std::string text;
  std::string call_id;  // of a tool result
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;
  std::string reasoning;                       // assistant
  std::vector<ChatToolCall> tool_calls;        // assistant
  std::vector<UserBlock> blocks;               // user
  std::vector<std::string> tools;              // system, developer: function schemas, JSON text
  std::optional<std::string> response_format;  // system, developer: JSON text
  std::string task;                            // a key of kTaskTokens, or empty
  bool without_eos = false;                    // assistant
};

// From OpenAI's form, checked: every member of every message is taken, known to say nothing to the model, or an
// Error(kInvalidFile) that begins with `source` and the message's number.
std::vector<ChatMessage> read_messages(const PythonJson& request, std::string_view source);

// Whether the assistant answers this message.
inline bool is_question(const ChatMessage& message) {
  return message.role == ChatRole::kUser || message.role == ChatRole::kDeveloper;
}

// The index of the last question; -1 if there is none.
ptrdiff_t last_question(const std::vector<ChatMessage>& messages);

// Instructions of a developer hold for the question they come with only. Returns how many were dropped.
size_t drop_old_developer_messages(std::vector<ChatMessage>& messages);

}  // namespace nibble
