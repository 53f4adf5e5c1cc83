// The conversation in the note of a saved session. What a file says is checked against everything else it says before
// any of it is used: the turns against the messages, texts against the tokens they are said to be.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/text/tokenizer.h"
#include "tools/nibble/session_note.h"

namespace nibble {

// Where a question began.
struct ChatTurn {
  size_t messages = 0;                  // before it
  std::optional<SamplerState> sampler;  // files from before it was kept have none
  bool in_session = false;              // the rest is true of the session as it is now
  uint32_t position = 0;                // of the session
  size_t read = 0;                      // bytes of ChatNote::read
  std::vector<uint32_t> unread;
};

struct ChatNote {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  std::string read;  // text of the session's tokens and the note's unread ones; empty: it is not known
  std::vector<ChatTurn> turns;
};

// What the note came with.
struct SavedSession {
  const std::string& source;  // names the file in errors
  std::span<const uint32_t> tokens;
  std::span<const uint32_t> unread;  // SessionNote::unread
  uint32_t vocab_size = 0;
};

nlohmann::ordered_json to_json(const ChatNote& note);
// Throws kInvalidFile naming the field.
ChatNote parse_chat_note(const nlohmann::ordered_json& chat, const SavedSession& session, const Tokenizer& tokenizer);

// The text of `tokens` as a conversation keeps it: bytes that are no UTF-8 are U+FFFD.
std::string text_of(const Tokenizer& tokenizer, std::span<const uint32_t> tokens, std::span<const uint32_t> unread);

}  // namespace nibble
