#include "host/chat_messages.h"

#include <algorithm>
#include <map>
#include <utility>

#include "host/chat_tokens.h"
#include "host/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

// One message of the request.
class MessageReader {
 public:
  MessageReader(const Json& message, size_t index) : message_(message), index_(index) {
    if (!message.is_object()) bad("{}, expected an object", message.type_name());
  }

  // null where the key is missing.
  const Json& member(const char* key) const { return member_of(message_, key); }

  std::string text(const char* key) const {
    const Json& value = member(key);
    if (value.is_null()) return {};
    if (!value.is_string()) bad("'{}' is {}, expected a string", key, value.type_name());
    return value.get<std::string>();
  }

  // A tool's result may be a list of parts, of which those that are text count.
  std::string tool_result() const {
    const Json& content = member("content");
    if (!content.is_array()) return text("content");
    std::string joined;
    for (const Json& part : content) {
      if (&part != &content.front()) joined += "\n\n";
      const Json& type = member_of(part, "type");
      const Json& part_text = member_of(part, "text");
      if (!type.is_string()) bad("a part of 'content' has no type");
      if (type != "text") {
        joined += "[Unsupported " + type.get<std::string>() + "]";
      } else if (part_text.is_string()) {
        joined += part_text.get_ref<const std::string&>();
      } else if (!part_text.is_null()) {
        bad("the text of a part of 'content' is {}, expected a string", part_text.type_name());
      }
    }
    return joined;
  }

  std::vector<Json> tools() const {
    std::vector<Json> tools;
    for (const Json& tool : list("tools")) {
      const Json& function = member_of(tool, "function");
      if (!function.is_object()) bad("a tool without 'function'");
      tools.push_back(function);
    }
    return tools;
  }

  std::vector<ChatToolCall> tool_calls() const {
    std::vector<ChatToolCall> calls;
    for (const Json& call : list("tool_calls")) {
      const Json& function = member_of(call, "function");
      const Json& name = member_of(function, "name");
      if (!name.is_string()) bad("a tool call without a function name");
      const Json& id = member_of(call, "id");
      const Json& inner_id = member_of(function, "id");
      calls.push_back({.id = id.is_string()         ? id.get<std::string>()
                             : inner_id.is_string() ? inner_id.get<std::string>()
                                                    : "",
                       .name = name.get<std::string>(),
                       .arguments = arguments(member_of(function, "arguments"))});
    }
    return calls;
  }

  std::string task() const {
    const std::string name = text("task");
    if (member("task").is_null()) return {};
    for (const auto& [known, token] : kTaskTokens) {
      if (name == known) return name;
    }
    bad("task '{}', expected action, query, authority, domain, title or read_url", name);
  }

  std::optional<Json> response_format() const {
    const Json& format = member("response_format");
    if (format.is_null() || format.empty() || format == "" || format == 0 || format == false) return std::nullopt;
    return format;
  }

  bool without_eos() const {
    const Json& flag = member("wo_eos");
    if (!flag.is_null() && !flag.is_boolean()) bad("'wo_eos' is {}, expected true or false", flag.type_name());
    return flag.is_boolean() && flag.get<bool>();
  }

  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "message {}: {}", index_ + 1,
         printable(fmt::format(format, std::forward<Args>(args)...)));
  }

 private:
  static const Json& member_of(const Json& object, const char* key) {
    static const Json kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
  }

  const Json& list(const char* key) const {
    static const Json kEmpty = Json::array();
    const Json& value = member(key);
    if (value.is_null()) return kEmpty;
    if (!value.is_array()) bad("'{}' is {}, expected a list", key, value.type_name());
    return value;
  }

  // A JSON object as text, as APIs carry it, or the object itself. Text that is no JSON is passed on whole, since that
  // is what the model wrote.
  Json arguments(const Json& value) const {
    if (value.is_object()) return value;
    if (!value.is_string()) bad("a tool call's arguments are {}, expected a string", value.type_name());
    Json parsed;
    try {
      parsed = parse_ordered_json(value.get_ref<const std::string&>(), "arguments");
    } catch (const Error&) {
      return {{"arguments", value}};
    }
    if (!parsed.is_object()) bad("a tool call's arguments are {}, expected an object", parsed.type_name());
    return parsed;
  }

  const Json& message_;
  size_t index_;
};

// Results and texts that follow each other make one turn; a turn that asks for a task takes no more text.
void append_user_block(std::vector<ChatMessage>& messages, UserBlock block, std::string task) {
  const bool joins = !messages.empty() && messages.back().role == ChatRole::kUser &&
                     (block.is_tool_result || messages.back().task.empty());
  if (!joins) messages.push_back({.role = ChatRole::kUser, .task = std::move(task)});
  messages.back().blocks.push_back(std::move(block));
}

void append_message(std::vector<ChatMessage>& messages, const MessageReader& reader) {
  const std::string role = reader.text("role");
  if (role == "user") {
    append_user_block(messages, {.text = reader.text("content")}, reader.task());
  } else if (role == "tool") {
    append_user_block(
        messages, {.is_tool_result = true, .text = reader.tool_result(), .call_id = reader.text("tool_call_id")}, {});
  } else if (role == "system" || role == "developer") {
    const bool is_system = role == "system";
    messages.push_back({.role = is_system ? ChatRole::kSystem : ChatRole::kDeveloper,
                        .content = reader.text("content"),
                        .tools = reader.tools(),
                        .response_format = reader.response_format(),
                        .task = reader.task()});
    if (!is_system && messages.back().content.empty()) reader.bad("a developer message without content");
  } else if (role == "assistant") {
    messages.push_back({.role = ChatRole::kAssistant,
                        .content = reader.text("content"),
                        .reasoning = reader.text("reasoning_content"),
                        .tool_calls = reader.tool_calls(),
                        .task = reader.task(),
                        .without_eos = reader.without_eos()});
  } else if (role == "latest_reminder") {
    if (!reader.member("content").is_string()) reader.bad("a latest_reminder without content");
    messages.push_back({.role = ChatRole::kReminder, .content = reader.text("content"), .task = reader.task()});
  } else {
    reader.bad("role '{}', expected system, user, assistant, tool, latest_reminder or developer", role);
  }
}

// Puts the results of one turn into the order of the calls before it; those of unknown calls go with the first.
void order_tool_results(std::vector<ChatMessage>& messages) {
  std::map<std::string, size_t> order;
  for (ChatMessage& message : messages) {
    if (!message.tool_calls.empty()) {
      order.clear();
      for (size_t i = 0; i < message.tool_calls.size(); ++i) {
        if (!message.tool_calls[i].id.empty()) order[message.tool_calls[i].id] = i;
      }
    }
    if (order.empty()) continue;
    std::vector<UserBlock> results;
    for (const UserBlock& block : message.blocks) {
      if (block.is_tool_result) results.push_back(block);
    }
    const auto rank = [&](const UserBlock& block) {
      const auto found = order.find(block.call_id);
      return found == order.end() ? 0 : found->second;
    };
    std::stable_sort(results.begin(), results.end(),
                     [&](const UserBlock& a, const UserBlock& b) { return rank(a) < rank(b); });
    size_t next = 0;
    for (UserBlock& block : message.blocks) {
      if (block.is_tool_result) block = std::move(results[next++]);
    }
  }
}

}  // namespace

std::vector<ChatMessage> read_messages(const Json& request) {
  const bool wrapped = request.is_object();
  if (!request.is_array() && !(wrapped && request.contains("messages") && request["messages"].is_array())) {
    fail(ErrorCode::kInvalidFile, "chat: expected a list of messages, or an object with 'messages'");
  }
  const Json& list = wrapped ? request["messages"] : request;
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) append_message(messages, MessageReader(list[i], i));
  if (messages.empty()) fail(ErrorCode::kInvalidFile, "chat: no messages");
  if (wrapped && request.contains("tools")) {
    std::vector<Json> tools = MessageReader(request, 0).tools();
    if (messages.front().role != ChatRole::kSystem && !tools.empty()) {
      messages.insert(messages.begin(), ChatMessage{.role = ChatRole::kSystem});
    }
    if (!tools.empty()) messages.front().tools = std::move(tools);
  }
  order_tool_results(messages);
  return messages;
}

ptrdiff_t last_question(const std::vector<ChatMessage>& messages) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(), is_question);
  return messages.rend() - found - 1;
}

void drop_old_developer_messages(std::vector<ChatMessage>& messages) {
  const ptrdiff_t end = last_question(messages);
  ptrdiff_t index = 0;
  std::erase_if(messages,
                [&](const ChatMessage& message) { return index++ < end && message.role == ChatRole::kDeveloper; });
}

}  // namespace nibble
