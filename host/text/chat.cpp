#include "host/text/chat.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "host/text/chat_messages.h"
#include "host/text/chat_tokens.h"
#include "host/text/python_json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

namespace nibble {
namespace {

constexpr std::string_view kToolsHead =
    "\n\n## Tools\n\n"
    "You have access to a set of tools to help answer the user's question. You can invoke tools by writing a "
    "\"<｜DSML｜tool_calls>\" block like the following:\n\n"
    "<｜DSML｜tool_calls>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME\">\n"
    "<｜DSML｜parameter name=\"$PARAMETER_NAME\" string=\"true|false\">$PARAMETER_VALUE</｜DSML｜parameter>\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME2\">\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "</｜DSML｜tool_calls>\n\n"
    "String parameters should be specified as is and set `string=\"true\"`. For all other types (numbers, booleans, "
    "arrays, objects), pass the value in JSON format and set `string=\"false\"`.\n\n"
    "If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside "
    "<think>...</think> BEFORE any tool calls or final response.\n\n"
    "Otherwise, output directly after </think> with tool calls or final response.\n\n"
    "### Available Tool Schemas\n\n";
constexpr std::string_view kToolsTail =
    "\n\nYou MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.\n";

constexpr std::string_view kResponseFormatHead =
    "\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n";

std::string render_tools(const std::vector<std::string>& tools) {
  std::string text(kToolsHead);
  for (const std::string& tool : tools) {
    if (&tool != &tools.front()) text += '\n';
    text += tool;
  }
  return text.append(kToolsTail);
}

// Tools and the answer's schema, which follow the text of a system or developer message.
std::string render_extras(const ChatMessage& message) {
  std::string text;
  if (!message.tools.empty()) text += render_tools(message.tools);
  if (message.response_format) text.append(kResponseFormatHead) += *message.response_format;
  return text;
}

std::string render_argument(const ChatArgument& argument) {
  return fmt::format("{} name=\"{}\" string=\"{}\">{}{}>", kParameterStart, argument.name, argument.is_string,
                     argument.value, kParameterEnd);
}

std::string render_call(const ChatToolCall& call) {
  std::string text = fmt::format("{} name=\"{}\">\n", kInvokeStart, call.name);
  for (const ChatArgument& argument : call.arguments) {
    if (&argument != &call.arguments.front()) text += '\n';
    text += render_argument(argument);
  }
  return text + "\n" + std::string(kInvokeEnd) + ">";
}

std::string render_calls(const std::vector<ChatToolCall>& calls) {
  if (calls.empty()) return {};
  std::string text = std::string(kCallsStart) + ">\n";
  for (const ChatToolCall& call : calls) text += render_call(call) + "\n";
  return text.append(kCallsEnd);
}

std::string render_user(const ChatMessage& message) {
  std::string text(kUserToken);
  for (const UserBlock& block : message.blocks) {
    if (&block != &message.blocks.front()) text += "\n\n";
    text += block.is_tool_result ? "<tool_result>" + block.text + "</tool_result>" : block.text;
  }
  return text;
}

std::string_view task_token(std::string_view task) {
  const auto* const found = std::find_if(std::begin(kTaskTokens), std::end(kTaskTokens),
                                         [&](const auto& known) { return known.first == task; });
  check(found != std::end(kTaskTokens), "task '{}' was checked before", task);
  return found->second;
}

class Renderer {
 public:
  Renderer(const std::vector<ChatMessage>& messages, bool thinking, bool drop_reasoning)
      : messages_(messages),
        thinking_(thinking),
        drop_reasoning_(drop_reasoning),
        last_question_(last_question(messages)) {}

  std::string render(size_t index) const { return render_body(index) + render_transition(index); }

 private:
  // Whether reasoning stands at this place of the prompt.
  bool keeps_reasoning(size_t index) const {
    return thinking_ && (!drop_reasoning_ || static_cast<ptrdiff_t>(index) > last_question_);
  }

  std::string render_body(size_t index) const {
    const ChatMessage& message = messages_[index];
    switch (message.role) {
      case ChatRole::kSystem:
        return message.content + render_extras(message);
      case ChatRole::kDeveloper:
        return std::string(kUserToken) + message.content + render_extras(message);
      case ChatRole::kUser:
        return render_user(message);
      case ChatRole::kReminder:
        return std::string(kReminderToken) + message.content;
      case ChatRole::kAssistant: {
        // What answers a task is not preceded by reasoning.
        const bool answers_task = index > 0 && !messages_[index - 1].task.empty();
        std::string text;
        if (!answers_task && keeps_reasoning(index)) text.append(message.reasoning).append(kThinkEnd);
        text += message.content + render_calls(message.tool_calls);
        if (!message.without_eos) text += kEosToken;
        return text;
      }
    }
    return {};
  }

  // What hands over to the assistant, if it is its turn.
  std::string render_transition(size_t index) const {
    if (index + 1 < messages_.size()) {
      const ChatRole next = messages_[index + 1].role;
      if (next != ChatRole::kAssistant && next != ChatRole::kReminder) return {};
    }
    const ChatMessage& message = messages_[index];
    if (!message.task.empty()) {
      std::string text;
      // Only this task is asked for inside the assistant's turn.
      if (message.task == "action") text.append(kAssistantToken).append(thinking_ ? kThinkStart : kThinkEnd);
      return text.append(task_token(message.task));
    }
    if (!is_question(message)) return {};
    const bool thinks = thinking_ && (!drop_reasoning_ || static_cast<ptrdiff_t>(index) >= last_question_);
    return std::string(kAssistantToken).append(thinks ? kThinkStart : kThinkEnd);
  }

  const std::vector<ChatMessage>& messages_;
  bool thinking_;
  bool drop_reasoning_;
  ptrdiff_t last_question_;
};

// What the format leaves out or leaves open, though the chat has it: the prompt is the reference's, but nobody should
// have to find out from the answers.
void notice_surprises(const std::vector<ChatMessage>& messages, std::string_view source) {
  for (size_t i = 1; i < messages.size(); ++i) {
    const bool cuts_in = messages[i].role == ChatRole::kSystem && is_question(messages[i - 1]);
    const bool before_answer = i + 1 == messages.size() || messages[i + 1].role == ChatRole::kAssistant;
    if (cuts_in && before_answer) {
      warn(
          "{}: a system message follows the question, so the format does not hand over to the assistant; "
          "put it before the question",
          source);
    }
  }
}

}  // namespace

std::string encode_request(const PythonJson& request, const ChatOptions& options) {
  std::vector<ChatMessage> messages = read_messages(request, options.source);
  notice_surprises(messages, options.source);
  const bool has_tools = std::any_of(messages.begin(), messages.end(), [](const auto& m) { return !m.tools.empty(); });
  // With tools, a call and its result only make sense with the reasoning that led to them.
  const bool drop = options.drop_reasoning && !has_tools;
  if (options.thinking && drop) {
    const size_t dropped = drop_old_developer_messages(messages);
    if (dropped > 0) {
      warn(
          "{}: {} developer message(s) before the last question are left out, as the format has it when the assistant "
          "reasons; what holds throughout belongs into a system message",
          options.source, dropped);
    }
  }
  std::string prompt;
  if (options.add_bos) prompt += kBosToken;
  if (options.thinking && !messages.empty()) prompt += options.effort_instruction;
  const Renderer renderer(messages, options.thinking, drop);
  for (size_t i = 0; i < messages.size(); ++i) prompt += renderer.render(i);
  return prompt;
}

std::string encode_chat(const nlohmann::ordered_json& request, const ChatOptions& options) {
  const std::string text = request.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return encode_request(PythonJson::parse(text, options.source), options);
}

std::string requested_effort(const PythonJson& request, std::string_view source) {
  const PythonJson::Value effort = request.root().find("reasoning_effort");
  if (effort.is_null()) return {};
  if (!effort.is_string()) {
    fail(ErrorCode::kInvalidFile, "{}: 'reasoning_effort' is {}, expected a string", source, effort.type_name());
  }
  return std::string(effort.text());
}

}  // namespace nibble
