// ChatFields: checked access to the members of one JSON object of a chat request. What it complains about is
// Error(kInvalidFile), one line: the file, the message, the field. Lives as long as the request it points into.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "host/text/json_text.h"
#include "host/text/python_json.h"
#include "runtime/base/error.h"

namespace nibble {

class ChatFields {
 public:
  // `where` begins every error: "chat.json: message 3".
  ChatFields(PythonJson::Value object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) bad("{}, expected an object", object.type_name());
  }

  // null where the key is missing.
  PythonJson::Value member(std::string_view key) const { return object_.find(key); }

  // A string; empty where it is null or missing.
  std::string text(std::string_view key) const;
  // Text, or a list of parts that are text, which blank lines then separate. A list of anything else is an error,
  // except with `describe_others`: then such a part is named in square brackets.
  std::string content(bool describe_others = false) const;
  // false where it is null or missing.
  bool flag(std::string_view key) const;
  // A list, or the null that iterates like an empty one.
  PythonJson::Value list(std::string_view key) const;

  // Complains about members that are neither `used` nor known to say nothing to the model, unless they are empty: what
  // would be lost on the way to the prompt is refused instead.
  void only(std::initializer_list<std::string_view> used, std::string_view owner) const;

  const std::string& where() const { return where_; }

  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "{}: {}", where_, printable(fmt::format(format, std::forward<Args>(args)...)));
  }

 private:
  std::string part_text(PythonJson::Value part, size_t number, bool describe_others) const;

  PythonJson::Value object_;
  std::string where_;
};

}  // namespace nibble
