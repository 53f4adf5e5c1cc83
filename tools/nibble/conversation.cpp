#include "tools/nibble/conversation.h"

#include <algorithm>

#include "host/text/chat.h"
#include "host/text/chat_effort.h"
#include "host/text/chat_stream.h"
#include "host/text/utf8.h"
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
      control_(tokenizer_, loaded_.config().eos_token_ids),
      sampler_(flags.sampler.options) {
  clear();
}

void Conversation::clear() {
  messages_ = ordered_json::array();
  if (!flags_.system.empty()) messages_.push_back({{"role", "system"}, {"content", utf8_lossy(flags_.system)}});
  turns_.clear();
  session_ = create_session(loaded_, options_);
  forget_read();
}

void Conversation::ask(const std::string& question, const InterruptGuard& interrupt) {
  const size_t before = messages_.size();
  const size_t turns = turns_.size();
  // The conversation stays one that can go on.
  const auto take_back = [&] {
    messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(before), messages_.end());
    turns_.resize(turns);
    forget_read();
  };
  messages_.push_back({{"role", "user"}, {"content", utf8_lossy(question)}});
  try {
    answer(before, interrupt);
    if (last_.prompt_is_cut) take_back();
  } catch (const Error&) {
    take_back();
    throw;
  } catch (const Interrupted&) {  // on the way back to the part that both texts share
    take_back();
    last_ = {.stop = StopReason::kInterrupted, .prompt_is_cut = true};
  }
}

void Conversation::rewind(size_t count) {
  if (count == 0 || count > turns_.size()) {
    fail(ErrorCode::kUsage, "cannot take back {} questions, the conversation has {}", count, turns_.size());
  }
  const ChatTurn turn = turns_[turns_.size() - count];
  turns_.resize(turns_.size() - count);
  messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(turn.messages), messages_.end());
  resume(sampler_, turn.sampler, flags_.sampler.seed_given);
  if (!turn.in_session) {
    forget_read();
    return;
  }
  try {
    session_->rewind(turn.position);
  } catch (...) {
    forget_read();
    throw;
  }
  read_.resize(turn.read);
  unread_ = turn.unread;
}

void Conversation::forget_read() {
  read_.clear();
  unread_.clear();
  for (ChatTurn& turn : turns_) turn.in_session = false;
}

std::vector<uint32_t> Conversation::ids_to_feed(const std::string& prompt) {
  if (!read_.empty() && prompt.starts_with(read_)) {
    std::vector<uint32_t> ids = unread_;
    const std::vector<uint32_t> more = tokenizer_.encode(std::string_view(prompt).substr(read_.size()));
    ids.insert(ids.end(), more.begin(), more.end());
    if (!ids.empty()) return ids;
  }
  std::vector<uint32_t> ids = tokenizer_.encode(prompt);
  const auto differs =
      std::mismatch(ids.begin(), ids.end(), session_->tokens().begin(), session_->tokens().end()).first;
  // At least one token is left to feed: its logits are wanted.
  const auto common = std::min<ptrdiff_t>(differs - ids.begin(), static_cast<ptrdiff_t>(ids.size()) - 1);
  session_->rewind(static_cast<uint32_t>(common));
  ids.erase(ids.begin(), ids.begin() + common);
  for (ChatTurn& turn : turns_) {
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
  last_ = generate({.session = *session_, .tokenizer = tokenizer_, .control = control_, .sampler = sampler_},
                   {.prompt = ids, .max_tokens = flags_.max_tokens}, sink);
  if (last_.prompt_is_cut) return;
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
  // Bytes of a message or of an answer that are no UTF-8 can make the text differ from what its tokens say. What is
  // not certain is not claimed: the text is then compared with the tokens when the conversation goes on.
  const bool is_known = read_ == text_of(tokenizer_, session_->tokens(), unread_);
  ChatNote chat{.messages = messages_, .read = is_known ? read_ : "", .turns = turns_};
  for (ChatTurn& turn : chat.turns) turn.in_session &= is_known;
  const std::vector<uint32_t> none;
  session_->save(path,
                 to_text({.unread = is_known ? unread_ : none, .sampler = sampler_.state(), .chat = to_json(chat)}));
}

void Conversation::load(const std::string& path) {
  std::string text;
  std::unique_ptr<Session> session = load_session(loaded_, options_, path, text);
  const uint32_t vocab_size = loaded_.config().vocab_size;
  SessionNote note = parse_session_note(text, path, vocab_size);
  if (note.chat.is_null()) {
    fail(ErrorCode::kUsage, "{}: a text of `nibble run`, not a conversation; `nibble run --load` goes on with it",
         path);
  }
  const SavedSession saved = {
      .source = path, .tokens = session->tokens(), .unread = note.unread, .vocab_size = vocab_size};
  ChatNote chat = parse_chat_note(note.chat, saved, tokenizer_);
  session_ = std::move(session);
  messages_ = std::move(chat.messages);
  turns_ = std::move(chat.turns);
  read_ = std::move(chat.read);
  unread_ = std::move(note.unread);
  resume(sampler_, note.sampler, flags_.sampler.seed_given);
}

}  // namespace nibble
