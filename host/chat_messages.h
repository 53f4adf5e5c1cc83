// The messages of a chat as the prompt has them: tool results are part of the user's turn, in the order of the calls.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace nibble {

enum class ChatRole { kSystem, kUser, kAssistant, kReminder, kDeveloper };

struct ChatToolCall {
  std::string id;
  std::string name;
  nlohmann::ordered_json arguments;  // an object
};

struct UserBlock {
  bool is_tool_result = false;
  std::string text;
  std::string call_id;  // of a tool result
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;
  std::string reasoning;                                  // assistant
  std::vector<ChatToolCall> tool_calls;                   // assistant
  std::vector<UserBlock> blocks;                          // user
  std::vector<nlohmann::ordered_json> tools;              // system, developer: function schemas
  std::optional<nlohmann::ordered_json> response_format;  // system, developer
  std::string task;                                       // a key of kTaskTokens, or empty
  bool without_eos = false;                               // assistant
};

// From OpenAI's form, checked; throws Error(kInvalidFile) that names the message.
std::vector<ChatMessage> read_messages(const nlohmann::ordered_json& request);

// Whether the assistant answers this message.
inline bool is_question(const ChatMessage& message) {
  return message.role == ChatRole::kUser || message.role == ChatRole::kDeveloper;
}

// The index of the last question; -1 if there is none.
ptrdiff_t last_question(const std::vector<ChatMessage>& messages);

// Instructions of a developer hold for the question they come with only.
void drop_old_developer_messages(std::vector<ChatMessage>& messages);

}  // namespace nibble
