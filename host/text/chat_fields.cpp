#include "host/text/chat_fields.h"

#include <algorithm>
#include <iterator>

namespace nibble {
namespace {

// What exports of chats and SDKs add to a message or a call: who made it, when, and derived forms of what it says.
constexpr std::string_view kMetadata[] = {
    "id",    "type",     "object", "created",       "created_at", "timestamp",       "weight",
    "model", "metadata", "usage",  "cache_control", "parsed",     "parsed_arguments"};

bool contains(const std::string_view* begin, const std::string_view* end, std::string_view key) {
  return std::find(begin, end, key) != end;
}

}  // namespace

std::string ChatFields::text(std::string_view key) const {
  const PythonJson::Value value = member(key);
  if (value.is_null()) return {};
  if (!value.is_string()) bad("'{}' is {}, expected a string", key, value.type_name());
  return std::string(value.text());
}

std::string ChatFields::content(bool describe_others) const {
  const PythonJson::Value content = member("content");
  if (content.is_null()) return {};
  if (content.is_string()) return std::string(content.text());
  if (!content.is_array()) bad("'content' is {}, expected a string or a list of parts", content.type_name());
  std::string joined;
  size_t number = 0;
  for (const PythonJson::Value part : content) {
    if (number++ > 0) joined += "\n\n";
    joined += part_text(part, number, describe_others);
  }
  return joined;
}

std::string ChatFields::part_text(PythonJson::Value part, size_t number, bool describe_others) const {
  const ChatFields fields(part, fmt::format("{}: part {} of 'content'", where_, number));
  const PythonJson::Value type = fields.member("type");
  if (!type.is_string()) fields.bad("no type");
  if (type.text() == "text") {
    fields.only({"type", "text"}, "part");
    return fields.text("text");
  }
  if (!describe_others) fields.bad("type '{}', expected 'text': the model reads nothing else", type.text());
  return "[Unsupported " + std::string(type.text()) + "]";
}

bool ChatFields::flag(std::string_view key) const {
  const PythonJson::Value value = member(key);
  if (value.is_null()) return false;
  if (value.kind() != JsonKind::kBoolean) bad("'{}' is {}, expected true or false", key, value.type_name());
  return value.text() == "true";
}

PythonJson::Value ChatFields::list(std::string_view key) const {
  const PythonJson::Value value = member(key);
  if (!value.is_null() && !value.is_array()) bad("'{}' is {}, expected a list", key, value.type_name());
  return value;
}

void ChatFields::only(std::initializer_list<std::string_view> used, std::string_view owner) const {
  for (const PythonJson::Value value : object_) {
    const std::string_view key = value.key();
    if (value.is_falsy() || contains(used.begin(), used.end(), key)) continue;
    if (contains(std::begin(kMetadata), std::end(kMetadata), key)) continue;
    bad("'{}' has no place in a {} of the prompt; remove it or set it to null", key, owner);
  }
}

}  // namespace nibble
