#include "tools/nibble/conversation.h"

#include <algorithm>

#include "host/chat.h"
#include "host/chat_effort.h"
#include "host/chat_stream.h"
#include "runtime/base/error.h"
#include "tools/nibble/session_note.h"

namespace nibble {

using nlohmann::ordered_json;

Conversation::Conversation(const ConversationFlags& flags)
    : flags_(flags),
      effort_(flags.effort.empty() ? "" : effort_instruction(effort_levels(flags.model.directory), flags.effort)),
      tokenizer_(load_tokenizer(flags.model)),
      loaded_(load_model(flags.model, flags.device)),
      options_(session_options(flags.session, loaded_.config(), usual_context(loaded_.config()))),
      sampler_(flags.sampler.options) {
  clear();
}

void Conversation::clear() {
  messages_ = ordered_json::array();
  if (!flags_.system.empty()) messages_.push_back({{"role", "system"}, {"content", flags_.system}});
  turns_.clear();
  session_ = create_session(loaded_, options_);
  forget_read();
}

void Conversation::ask(const std::string& question, const InterruptGuard& interrupt) {
  const size_t before = messages_.size();
  const size_t turns = turns_.size();
  messages_.push_back({{"role", "user"}, {"content", question}});
  try {
    answer(before, interrupt);
  } catch (const Error&) {
    messages_.erase(messages_.size() - 1);  // the conversation stays one that can go on
    turns_.resize(turns);
    forget_read();
    throw;
  }
}

void Conversation::rewind(size_t count) {
  if (count == 0 || count > turns_.size()) {
    fail(ErrorCode::kUsage, "cannot take back {} questions, the conversation has {}", count, turns_.size());
  }
  const Turn turn = turns_[turns_.size() - count];
  turns_.resize(turns_.size() - count);
  messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(turn.messages), messages_.end());
  resume(sampler_, turn.sampler, flags_.sampler.seed_given);
  if (!turn.in_session) {
    forget_read();
    return;
  }
  session_->rewind(turn.position);
  read_.resize(turn.read);
  unread_ = turn.unread;
}

void Conversation::forget_read() {
  read_.clear();
  unread_.clear();
  for (Turn& turn : turns_) turn.in_session = false;
}

std::vector<uint32_t> Conversation::ids_to_feed(const std::string& prompt) {
  if (!read_.empty() && prompt.starts_with(read_)) {
    std::vector<uint32_t> ids = unread_;
    const std::vector<uint32_t> more = tokenizer_.encode(std::string_view(prompt).substr(read_.size()));
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  }
  std::vector<uint32_t> ids = tokenizer_.encode(prompt);
  const auto differs =
      std::mismatch(ids.begin(), ids.end(), session_->tokens().begin(), session_->tokens().end()).first;
  // At least one token is left to feed: its logits are wanted.
  const auto common = std::min<ptrdiff_t>(differs - ids.begin(), static_cast<ptrdiff_t>(ids.size()) - 1);
  session_->rewind(static_cast<uint32_t>(common));
  ids.erase(ids.begin(), ids.begin() + common);
  for (Turn& turn : turns_) {
    turn.in_session &= turn.position <= session_->position() && turn.read <= read_.size() &&
                       prompt.compare(0, turn.read, read_, 0, turn.read) == 0;
  }
  read_.clear();
  unread_.clear();
  return ids;
}

void Conversation::answer(size_t messages_before, const InterruptGuard& interrupt) {
  const std::string prompt = encode_chat(messages_, {.thinking = flags_.think, .effort_instruction = effort_});
  const std::vector<uint32_t> ids = ids_to_feed(prompt);
  turns_.push_back({.messages = messages_before,
                    .sampler = sampler_.state(),
                    .in_session = !read_.empty() || session_->position() == 0,
                    .position = session_->position(),
                    .read = read_.size(),
                    .unread = unread_});
  const uint32_t begin = session_->position();
  std::string text;
  const TextSink sink = [&](std::string_view piece) {
    text += piece;
    write_stdout(piece);
    return !interrupt.interrupted();
  };
  const GenerationRequest request = {
      .prompt = ids, .max_tokens = flags_.max_tokens, .eos = loaded_.config().eos_token_id};
  last_ = generate(*session_, tokenizer_, sampler_, request, sink);
  write_stdout("\n");
  remember(prompt + text, session_->position() - begin - ids.size());
  messages_.push_back(to_message(text));
}

// `fed` of the answer's tokens are in the session; when it was cut, the last one is not.
void Conversation::remember(std::string read, size_t fed) {
  read_ = std::move(read);
  unread_.assign(last_.tokens.begin() + static_cast<ptrdiff_t>(fed), last_.tokens.end());
}

ordered_json Conversation::to_message(const std::string& text) const {
  CompletionStream stream(flags_.think);
  stream.push(text);
  stream.finish();
  return completion_message(stream.completion());
}

void Conversation::save(const std::string& path) {
  const ordered_json chat = {{"messages", messages_}, {"read", read_}, {"turns", turns_json()}};
  session_->save(path, to_text({.unread = unread_, .sampler = sampler_.state(), .chat = chat}));
}

ordered_json Conversation::turns_json() const {
  ordered_json turns = ordered_json::array();
  for (const Turn& turn : turns_) {
    turns.push_back({{"messages", turn.messages},
                     {"in_session", turn.in_session},
                     {"position", turn.position},
                     {"read", turn.read},
                     {"unread", turn.unread}});
    if (turn.sampler) turns.back()["sampler"] = to_json(*turn.sampler);
  }
  return turns;
}

void Conversation::load(const std::string& path) {
  std::string text;
  std::unique_ptr<Session> session = load_session(loaded_, options_, path, text);
  SessionNote note = parse_session_note(text, path);
  if (note.chat.is_null()) {
    fail(ErrorCode::kUsage, "{}: a text of `nibble run`, not a conversation; `nibble run --load` goes on with it",
         path);
  }
  try {
    std::vector<Turn> turns = parse_turns(note.chat, path);
    ordered_json messages = note.chat.at("messages");
    auto read = note.chat.at("read").get<std::string>();
    if (!messages.empty())
      encode_chat(messages, {.thinking = flags_.think, .source = path});  // complains about what is no message
    for (const Turn& turn : turns) {
      if (turn.messages > messages.size() || turn.position > session->position() || turn.read > read.size()) {
        fail(ErrorCode::kInvalidFile, "{}: the note has a question beyond the end of the conversation", path);
      }
    }
    session_ = std::move(session);
    messages_ = std::move(messages);
    turns_ = std::move(turns);
    read_ = std::move(read);
    unread_ = std::move(note.unread);
    resume(sampler_, note.sampler, flags_.sampler.seed_given);
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kInvalidFile, "{}: the note has no messages, text and turns of a conversation", path);
  }
}

std::vector<Conversation::Turn> Conversation::parse_turns(const ordered_json& chat, const std::string& path) {
  std::vector<Turn> turns;
  for (const ordered_json& turn : chat.at("turns")) {
    turns.push_back({.messages = turn.at("messages").get<size_t>(),
                     .sampler = sampler_member(turn, path),
                     .in_session = turn.at("in_session").get<bool>(),
                     .position = turn.at("position").get<uint32_t>(),
                     .read = turn.at("read").get<size_t>(),
                     .unread = token_list(turn.at("unread"), path)});
  }
  return turns;
}

}  // namespace nibble
