// The control tokens of the DeepSeek-V4 chat format, as text.
#pragma once

#include <string_view>
#include <utility>

namespace nibble {

inline constexpr std::string_view kBosToken = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEosToken = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kUserToken = "<｜User｜>";
inline constexpr std::string_view kAssistantToken = "<｜Assistant｜>";
inline constexpr std::string_view kReminderToken = "<｜latest_reminder｜>";
inline constexpr std::string_view kThinkStart = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";
// Part of every tag of a tool call: <｜DSML｜invoke name="…">.
inline constexpr std::string_view kDsmlToken = "｜DSML｜";

// The beginnings and ends of the tags of tool calls.
inline constexpr std::string_view kCallsStart = "\n\n<｜DSML｜tool_calls";
inline constexpr std::string_view kCallsEnd = "</｜DSML｜tool_calls>";
inline constexpr std::string_view kInvokeStart = "<｜DSML｜invoke";
inline constexpr std::string_view kInvokeEnd = "</｜DSML｜invoke";
inline constexpr std::string_view kParameterStart = "<｜DSML｜parameter";
inline constexpr std::string_view kParameterEnd = "</｜DSML｜parameter";

// Short classification tasks, asked for by a token instead of a sentence.
inline constexpr std::pair<std::string_view, std::string_view> kTaskTokens[] = {
    {"action", "<｜action｜>"}, {"query", "<｜query｜>"}, {"authority", "<｜authority｜>"},
    {"domain", "<｜domain｜>"}, {"title", "<｜title｜>"}, {"read_url", "<｜read_url｜>"},
};

}  // namespace nibble
