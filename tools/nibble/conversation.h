// A conversation: the messages so far and the session that has read them. The prompt of a turn is the text of all
// messages; where it begins with what the session has already read, only the rest is fed. Otherwise (reasoning of
// earlier turns is left out of a prompt, for one) the session goes back to the last token that both share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

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
  std::string effort;  // host/chat_effort.h; empty: the checkpoint's usual one
};

class Conversation {
 public:
  // `flags` outlives the conversation.
  explicit Conversation(const ConversationFlags& flags);

  void clear();
  // Answers `question` on stdout; stops when `interrupt` is raised.
  void ask(const std::string& question, const InterruptGuard& interrupt);
  // Takes back the last `count` questions and their answers, and what was drawn for them: the same question gets the
  // same answer again. Throws kUsage when there are fewer.
  void rewind(size_t count);
  void save(const std::string& path);
  // On an error the conversation stays the one it was.
  void load(const std::string& path);

  size_t questions() const { return turns_.size(); }
  uint32_t position() const { return session_->position(); }
  const GenerationResult& last() const { return last_; }
  std::string device() const { return describe(loaded_.device->info()); }

 private:
  // Where a question began.
  struct Turn {
    size_t messages = 0;                  // before it
    std::optional<SamplerState> sampler;  // files from before it was kept have none
    bool in_session = false;              // the rest is true of the session as it is now
    uint32_t position = 0;                // of the session
    size_t read = 0;                      // bytes of read_
    std::vector<uint32_t> unread;
  };

  // What the session does not have yet of `prompt`; takes back what it has read beyond the part they share.
  std::vector<uint32_t> ids_to_feed(const std::string& prompt);
  // After this the next prompt is compared with the session's tokens.
  void forget_read();
  void answer(size_t messages_before, const InterruptGuard& interrupt);
  void remember(std::string read, size_t fed);
  nlohmann::ordered_json to_message(const std::string& text) const;
  nlohmann::ordered_json turns_json() const;
  static std::vector<Turn> parse_turns(const nlohmann::ordered_json& chat, const std::string& path);

  const ConversationFlags& flags_;
  std::string_view effort_;  // the instruction that prompts begin with
  Tokenizer tokenizer_;
  LoadedModel loaded_;
  SessionOptions options_;
  Sampler sampler_;
  nlohmann::ordered_json messages_;
  std::vector<Turn> turns_;
  std::unique_ptr<Session> session_;
  std::string read_;              // text that the session has read, answers included
  std::vector<uint32_t> unread_;  // tokens of that text which are not in the session yet
  GenerationResult last_;
};

}  // namespace nibble
