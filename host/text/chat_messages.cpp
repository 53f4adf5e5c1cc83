#include "host/text/chat_messages.h"

#include <algorithm>
#include <map>
#include <utility>

#include "host/text/chat_fields.h"
#include "host/text/chat_tokens.h"
#include "runtime/base/log.h"

namespace nibble {
namespace {

// One message of the request.
class MessageReader {
 public:
  MessageReader(PythonJson::Value message, std::string where, bool is_last)
      : fields_(message, std::move(where)), is_last_(is_last) {}

  const ChatFields& fields() const { return fields_; }

  // Two names are in use for it; they may not say two things.
  std::string reasoning() const {
    const std::string text = fields_.text("reasoning_content");
    const std::string alias = fields_.text("reasoning");
    if (!text.empty() && !alias.empty() && text != alias) {
      fields_.bad("'reasoning' and 'reasoning_content' differ, expected one of them");
    }
    return text.empty() ? alias : text;
  }

  std::vector<ChatToolCall> tool_calls() const {
    std::vector<ChatToolCall> calls;
    for (const PythonJson::Value value : fields_.list("tool_calls")) {
      const ChatFields call(value, fmt::format("{}: tool call {}", fields_.where(), calls.size() + 1));
      call.only({"id", "type", "index", "function"}, "tool call");
      const std::string type = call.text("type");
      if (!type.empty() && type != "function") call.bad("type '{}', expected 'function'", type);
      const ChatFields function(call.member("function"), call.where() + ": 'function'");
      function.only({"id", "name", "arguments"}, "tool call");
      if (!function.member("name").is_string()) function.bad("no name");
      const std::string id = call.text("id");
      calls.push_back({.id = id.empty() ? function.text("id") : id,
                       .name = function.text("name"),
                       .arguments = arguments(function)});
    }
    return calls;
  }

  std::string task() const {
    const std::string name = fields_.text("task");
    if (fields_.member("task").is_null()) return {};
    for (const auto& [known, token] : kTaskTokens) {
      if (name == known) return name;
    }
    fields_.bad("task '{}', expected action, query, authority, domain, title or read_url", name);
  }

  std::optional<std::string> response_format() const {
    const PythonJson::Value format = fields_.member("response_format");
    if (format.is_falsy()) return std::nullopt;
    return format.dump();
  }

  // Whether the assistant goes on with this message: asked for by either of two names.
  bool without_eos() const {
    if (fields_.flag("prefix")) {
      if (!is_last_) fields_.bad("'prefix' is true, but only the last message can be gone on with");
      if (!fields_.member("tool_calls").is_falsy() || !fields_.member("task").is_falsy()) {
        fields_.bad("'prefix' is true, but a message with tool calls or a task cannot be gone on with");
      }
    }
    return fields_.flag("prefix") || fields_.flag("wo_eos");
  }

  // The name of who speaks is common in exports, but there is no place for it.
  void notice_name() const {
    if (!fields_.member("name").is_falsy())
      warn("{}: 'name' is left out, the prompt has no place for it", fields_.where());
  }

 private:
  // A JSON object as text, as APIs carry it, or the object itself; nothing and null are no arguments. Text that is no
  // JSON is passed on whole, since that is what the model wrote.
  static std::vector<ChatArgument> arguments(const ChatFields& function) {
    const PythonJson::Value value = function.member("arguments");
    if (value.is_null()) return {};
    if (value.is_object()) return members(value);
    if (!value.is_string()) function.bad("'arguments' is {}, expected a string", value.type_name());
    PythonJson parsed;
    try {
      parsed = PythonJson::parse(value.text(), "arguments");
    } catch (const Error&) {
      return {{.name = "arguments", .is_string = true, .value = std::string(value.text())}};
    }
    if (parsed.root().is_null()) return {};
    if (!parsed.root().is_object()) {
      function.bad("'arguments' is JSON of {}, expected of object", parsed.root().type_name());
    }
    return members(parsed.root());
  }

  static std::vector<ChatArgument> members(PythonJson::Value object) {
    std::vector<ChatArgument> arguments;
    for (const PythonJson::Value value : object) {
      arguments.push_back({.name = std::string(value.key()),
                           .is_string = value.is_string(),
                           .value = value.is_string() ? std::string(value.text()) : value.dump()});
    }
    return arguments;
  }

  ChatFields fields_;
  bool is_last_;
};

std::vector<std::string> read_tools(const ChatFields& fields) {
  std::vector<std::string> tools;
  for (const PythonJson::Value value : fields.list("tools")) {
    const ChatFields tool(value, fmt::format("{}: tool {}", fields.where(), tools.size() + 1));
    tool.only({"type", "function"}, "tool");
    if (!tool.member("function").is_object()) tool.bad("no 'function', expected an object with the tool's schema");
    tools.push_back(tool.member("function").dump());
  }
  return tools;
}

// Results and texts that follow each other make one turn; a turn that asks for a task takes no more text.
void append_user_block(std::vector<ChatMessage>& messages, UserBlock block, std::string task,
                       const ChatFields& fields) {
  const bool joins = !messages.empty() && messages.back().role == ChatRole::kUser &&
                     (block.is_tool_result || messages.back().task.empty());
  if (joins && !task.empty()) fields.bad("'task' of a message that continues the turn before it");
  if (!joins) messages.push_back({.role = ChatRole::kUser, .task = std::move(task)});
  messages.back().blocks.push_back(std::move(block));
}

void append_assistant(std::vector<ChatMessage>& messages, const MessageReader& reader) {
  const ChatFields& fields = reader.fields();
  fields.only({"role", "name", "content", "reasoning_content", "reasoning", "tool_calls", "task", "wo_eos", "prefix"},
              "message of the assistant");
  reader.notice_name();
  messages.push_back({.role = ChatRole::kAssistant,
                      .content = fields.content(),
                      .reasoning = reader.reasoning(),
                      .tool_calls = reader.tool_calls(),
                      .task = reader.task(),
                      .without_eos = reader.without_eos()});
}

void append_instructions(std::vector<ChatMessage>& messages, const MessageReader& reader, ChatRole role) {
  const ChatFields& fields = reader.fields();
  fields.only({"role", "name", "content", "tools", "response_format", "task"}, "system or developer message");
  reader.notice_name();
  messages.push_back({.role = role,
                      .content = fields.content(),
                      .tools = read_tools(fields),
                      .response_format = reader.response_format(),
                      .task = reader.task()});
  if (role == ChatRole::kDeveloper && messages.back().content.empty()) {
    fields.bad("a developer message without content");
  }
}

void append_message(std::vector<ChatMessage>& messages, const MessageReader& reader) {
  const ChatFields& fields = reader.fields();
  const std::string role = fields.text("role");
  if (role == "user") {
    fields.only({"role", "name", "content", "task"}, "message of the user");
    reader.notice_name();
    append_user_block(messages, {.text = fields.content()}, reader.task(), fields);
  } else if (role == "tool") {
    // A tool's name is the call's.
    fields.only({"role", "name", "content", "tool_call_id"}, "tool result");
    UserBlock result = {.is_tool_result = true, .text = fields.content(true), .call_id = fields.text("tool_call_id")};
    append_user_block(messages, std::move(result), {}, fields);
  } else if (role == "system" || role == "developer") {
    append_instructions(messages, reader, role == "system" ? ChatRole::kSystem : ChatRole::kDeveloper);
  } else if (role == "assistant") {
    append_assistant(messages, reader);
  } else if (role == "latest_reminder") {
    fields.only({"role", "name", "content", "task"}, "reminder");
    if (fields.member("content").is_null()) fields.bad("a latest_reminder without content");
    reader.notice_name();
    messages.push_back({.role = ChatRole::kReminder, .content = fields.content(), .task = reader.task()});
  } else {
    fields.bad("role '{}', expected system, user, assistant, tool, latest_reminder or developer", role);
  }
}

// What a request says beside its messages and tools. Sampling is not the prompt's business.
void check_request(const ChatFields& request) {
  request.only({"messages",
                "tools",
                "reasoning_effort",
                "response_format",
                "tool_choice",
                "parallel_tool_calls",
                "temperature",
                "top_p",
                "top_k",
                "min_p",
                "max_tokens",
                "max_completion_tokens",
                "n",
                "seed",
                "stop",
                "stream",
                "stream_options",
                "frequency_penalty",
                "presence_penalty",
                "repetition_penalty",
                "logit_bias",
                "logprobs",
                "top_logprobs",
                "user",
                "store",
                "service_tier"},
               "request");
  const PythonJson::Value format = request.member("response_format");
  if (!format.is_falsy() && format.find("type").text() != "text") {
    request.bad("'response_format' belongs into a system or developer message");
  }
  const PythonJson::Value choice = request.member("tool_choice");
  if (!choice.is_falsy() && choice.text() != "auto") {
    request.bad("'tool_choice' has no place in the prompt, expected \"auto\"");
  }
}

// The tools of a request go to the system message that begins it.
void add_request_tools(std::vector<ChatMessage>& messages, const ChatFields& request) {
  std::vector<std::string> tools = read_tools(request);
  if (tools.empty()) return;
  if (messages.front().role != ChatRole::kSystem) {
    messages.insert(messages.begin(), ChatMessage{.role = ChatRole::kSystem});
  }
  std::vector<std::string>& own = messages.front().tools;
  if (!own.empty() && own != tools) request.bad("'tools' stand beside the messages and in message 1, and differ");
  own = std::move(tools);
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

std::vector<ChatMessage> read_messages(const PythonJson& json, std::string_view source) {
  const PythonJson::Value request = json.root();
  const PythonJson::Value list = request.is_object() ? request.find("messages") : request;
  if (!list.is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: expected a list of messages, or an object with 'messages'", source);
  }
  std::vector<ChatMessage> messages;
  size_t number = 0;
  for (auto message = list.begin(); message != list.end();) {
    const PythonJson::Value value = *message;
    ++message;
    const bool is_last = !(message != list.end());
    append_message(messages, MessageReader(value, fmt::format("{}: message {}", source, ++number), is_last));
  }
  if (messages.empty()) fail(ErrorCode::kInvalidFile, "{}: no messages", source);
  if (request.is_object()) {
    const ChatFields fields(request, std::string(source));
    check_request(fields);
    add_request_tools(messages, fields);
  }
  order_tool_results(messages);
  return messages;
}

ptrdiff_t last_question(const std::vector<ChatMessage>& messages) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(), is_question);
  return messages.rend() - found - 1;
}

size_t drop_old_developer_messages(std::vector<ChatMessage>& messages) {
  const ptrdiff_t end = last_question(messages);
  ptrdiff_t index = 0;
  return std::erase_if(
      messages, [&](const ChatMessage& message) { return index++ < end && message.role == ChatRole::kDeveloper; });
}

}  // namespace nibble
