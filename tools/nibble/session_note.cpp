#include "tools/nibble/session_note.h"

#include "host/json_text.h"
#include "runtime/base/error.h"

namespace nibble {

using nlohmann::ordered_json;

std::string to_text(const SessionNote& note) {
  const ordered_json json = {{"unread", note.unread}, {"chat", note.chat}};
  // Bytes of a message that are no UTF-8 do not stop a save; a text that differs is then read again from its start.
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

SessionNote parse_session_note(std::string_view text, const std::string& source) {
  SessionNote note;
  if (text.empty()) return note;
  ordered_json json = parse_ordered_json(text, source + ": the note");
  if (!json.is_object()) fail(ErrorCode::kInvalidFile, "{}: the note is not a JSON object", source);
  if (json.contains("unread")) note.unread = token_list(json["unread"], source);
  if (json.contains("chat")) note.chat = std::move(json["chat"]);
  return note;
}

std::vector<uint32_t> token_list(const ordered_json& value, const std::string& source) {
  std::vector<uint32_t> tokens;
  bool good = value.is_array();
  for (size_t i = 0; good && i < value.size(); ++i) {
    good = value[i].is_number_unsigned() && value[i].get<uint64_t>() <= UINT32_MAX;
    if (good) tokens.push_back(value[i].get<uint32_t>());
  }
  if (!good) fail(ErrorCode::kInvalidFile, "{}: the note has no list of token ids where one belongs", source);
  return tokens;
}

}  // namespace nibble
