// A conversation: the messages so far and the session that has read them. The prompt of a turn is the text of all
// messages; where it begins with what the session has already read, only the rest is fed. Otherwise (reasoning of
// earlier turns is left out of a prompt, for one) the session goes back to the last token that both share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/nibble/chat_note.h"
#include "tools/nibble/generation.h"
#include "tools/nibble/loading.h"
#include "tools/nibble/terminal.h"

namespace nibble {

struct ConversationFlags {
  ModelFlags model;
  DeviceFlags device;
  SessionFlags session;
  SamplerFlags sampler;
  std::string system;
  uint32_t max_tokens = 0;
  bool think = false;
  std::string effort;  // host/text/chat_effort.h; empty: the checkpoint's usual one
};

class Conversation {
 public:
  // `flags` outlives the conversation.
  explicit Conversation(const ConversationFlags& flags);

  void clear();
  // Answers `question` on stdout until it is interrupted. Interrupted while the question was read
  // (last().prompt_is_cut): it is not part of the conversation, but the session keeps what it has read of it and goes
  // on from there when it is asked again.
  void ask(const std::string& question, const InterruptGuard& interrupt);
  // Takes back the last `count` questions and their answers, and what was drawn for them: the same question gets the
  // same answer again. Throws kUsage when there are fewer.
  void rewind(size_t count);
  // Interrupted, it leaves the file that was there, if any.
  void save(const std::string& path);
  // On an error or an interrupt the conversation stays the one it was.
  void load(const std::string& path);

  size_t questions() const { return turns_.size(); }
  uint32_t position() const { return session_->position(); }
  uint32_t context() const { return options_.context; }
  const GenerationResult& last() const { return last_; }
  std::string device() const { return describe(loaded_.device->info()); }

 private:
  // What the session does not have yet of `prompt`; takes back what it has read beyond the part they share.
  std::vector<uint32_t> ids_to_feed(const std::string& prompt);
  // After this the next prompt is compared with the session's tokens.
  void forget_read();
  void answer(size_t messages_before, const InterruptGuard& interrupt);
  void remember(std::string read, size_t fed);
  nlohmann::ordered_json to_message(const std::string& text) const;

  const ConversationFlags& flags_;
  std::string_view effort_;  // the instruction that prompts begin with
  Tokenizer tokenizer_;
  LoadedModel loaded_;
  SessionOptions options_;
  ControlTokens control_;
  Sampler sampler_;
  nlohmann::ordered_json messages_;
  std::vector<ChatTurn> turns_;
  std::unique_ptr<Session> session_;
  std::string read_;              // text that the session has read, answers included
  std::vector<uint32_t> unread_;  // tokens of that text which are not in the session yet
  GenerationResult last_;
};

}  // namespace nibble
