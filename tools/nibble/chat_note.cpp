#include "tools/nibble/chat_note.h"

#include "host/text/chat.h"
#include "host/text/json_text.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"

namespace nibble {

using nlohmann::ordered_json;

namespace {

class Parser {
 public:
  Parser(const SavedSession& session, const Tokenizer& tokenizer) : session_(session), tokenizer_(tokenizer) {}

  ChatNote parse(const ordered_json& chat) {
    ChatNote note;
    note.messages = list(chat, "chat.", "messages");
    read_messages(note.messages);
    note.read = text(chat, "chat.", "read");
    check_read(note.read, session_.unread, session_.tokens, "chat.read");
    const ordered_json& turns = list(chat, "chat.", "turns");
    if (turns.size() != questions_.size()) {
      reject("chat.turns", fmt::format("{} of them", turns.size()), "as many as questions: {}", questions_.size());
    }
    for (size_t i = 0; i < turns.size(); ++i) note.turns.push_back(parse_turn(turns[i], i, note.read));
    return note;
  }

 private:
  template <typename... Args>
  [[noreturn]] void reject(const std::string& field, const std::string& found, fmt::format_string<Args...> expected,
                           Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "{}: the note's '{}' is {}, expected {}", session_.source, field, found,
         fmt::format(expected, std::forward<Args>(args)...));
  }

  const ordered_json& member(const ordered_json& object, const std::string& prefix, const char* name) const {
    if (!object.is_object()) reject(prefix.substr(0, prefix.size() - 1), json_excerpt(object), "an object");
    const auto found = object.find(name);
    if (found == object.end()) reject(prefix + name, "missing", "a value");
    return *found;
  }

  const ordered_json& list(const ordered_json& object, const std::string& prefix, const char* name) const {
    const ordered_json& value = member(object, prefix, name);
    if (!value.is_array()) reject(prefix + name, json_excerpt(value), "a list");
    return value;
  }

  std::string text(const ordered_json& object, const std::string& prefix, const char* name) const {
    const ordered_json& value = member(object, prefix, name);
    if (!value.is_string()) reject(prefix + name, json_excerpt(value), "a text");
    return value.get<std::string>();
  }

  uint64_t number(const ordered_json& object, const std::string& prefix, const char* name, uint64_t least,
                  uint64_t most) const {
    const ordered_json& value = member(object, prefix, name);
    const bool good = value.is_number_unsigned() && value.get<uint64_t>() >= least && value.get<uint64_t>() <= most;
    if (!good && least == most) reject(prefix + name, json_excerpt(value), "{}", least);
    if (!good) reject(prefix + name, json_excerpt(value), "an integer from {} to {}", least, most);
    return value.get<uint64_t>();
  }

  // As the program makes them: instructions perhaps, then questions and answers in turn.
  void read_messages(const ordered_json& messages) {
    for (size_t i = 0; i < messages.size(); ++i) {
      const std::string prefix = fmt::format("chat.messages[{}].", i);
      const std::string role = text(messages[i], prefix, "role");
      const bool is_system = i == 0 && role == "system";
      const bool is_answer = !questions_.empty() && questions_.back() + 1 == i;
      const char* wanted = is_answer ? "assistant" : "user";
      if (!is_system && role != wanted) reject(prefix + "role", json_excerpt(role), "\"{}\"", wanted);
      (void)text(messages[i], prefix, "content");
      if (is_answer) continue;
      for (const auto& [key, value] : messages[i].items()) {
        if (key != "role" && key != "content") reject(prefix + printable(key), "there", "no such member");
      }
      if (!is_system) questions_.push_back(i);
    }
    if (!questions_.empty() && questions_.back() + 1 == messages.size()) {
      reject("chat.messages", fmt::format("{} messages", messages.size()), "an answer to the last question");
    }
    if (messages.empty()) return;
    try {
      (void)encode_chat(messages, {});
      (void)encode_chat(messages, {.thinking = true});
    } catch (const Error& error) {
      fail(ErrorCode::kInvalidFile, "{}: the note's 'chat.messages': {}", session_.source, error.what());
    }
  }

  // The text is what its tokens say; without one there are none that wait for it.
  void check_read(std::string_view read, std::span<const uint32_t> unread, std::span<const uint32_t> tokens,
                  const std::string& field) const {
    if (read.empty() && unread.empty()) return;
    if (read == text_of(tokenizer_, tokens, unread)) return;
    reject(field, fmt::format("{} bytes", read.size()), "the text of its {} tokens", tokens.size() + unread.size());
  }

  ChatTurn parse_turn(const ordered_json& value, size_t index, const std::string& read) const {
    const std::string prefix = fmt::format("chat.turns[{}].", index);
    ChatTurn turn;
    const size_t place = questions_[index];
    turn.messages = static_cast<size_t>(number(value, prefix, "messages", place, place));
    turn.sampler = sampler_member(value, session_.source);
    const ordered_json& in_session = member(value, prefix, "in_session");
    if (!in_session.is_boolean()) reject(prefix + "in_session", json_excerpt(in_session), "true or false");
    turn.in_session = in_session.get<bool>();
    // Otherwise the numbers are of a session that is gone.
    const uint64_t positions = turn.in_session ? session_.tokens.size() : UINT32_MAX;
    turn.position = static_cast<uint32_t>(number(value, prefix, "position", 0, positions));
    turn.read = static_cast<size_t>(number(value, prefix, "read", 0, turn.in_session ? read.size() : UINT64_MAX));
    turn.unread = token_list(member(value, prefix, "unread"), session_.source, session_.vocab_size);
    if (!turn.in_session) return {.messages = turn.messages, .sampler = turn.sampler};
    const auto tokens = session_.tokens.first(turn.position);
    if (turn.read == 0 && turn.position != 0)
      reject(prefix + "read", "0", "the text before position {}", turn.position);
    check_read(std::string_view(read).substr(0, turn.read), turn.unread, tokens, prefix + "read");
    return turn;
  }

  const SavedSession& session_;
  const Tokenizer& tokenizer_;
  std::vector<size_t> questions_;  // their places among the messages
};

}  // namespace

ordered_json to_json(const ChatNote& note) {
  ordered_json turns = ordered_json::array();
  for (const ChatTurn& turn : note.turns) {
    turns.push_back({{"messages", turn.messages},
                     {"in_session", turn.in_session},
                     {"position", turn.position},
                     {"read", turn.read},
                     {"unread", turn.unread}});
    if (turn.sampler) turns.back()["sampler"] = to_json(*turn.sampler);
  }
  return {{"messages", note.messages}, {"read", note.read}, {"turns", std::move(turns)}};
}

ChatNote parse_chat_note(const ordered_json& chat, const SavedSession& session, const Tokenizer& tokenizer) {
  return Parser(session, tokenizer).parse(chat);
}

std::string text_of(const Tokenizer& tokenizer, std::span<const uint32_t> tokens, std::span<const uint32_t> unread) {
  return utf8_lossy(tokenizer.decode(tokens) + tokenizer.decode(unread));
}

}  // namespace nibble
