#include "host/text/control_tokens.h"

#include <algorithm>

#include "host/text/chat_tokens.h"

namespace nibble {

ControlTokens::ControlTokens(const Tokenizer& tokenizer, std::span<const uint32_t> eos) {
  const auto mark_text = [&](std::string_view text, unsigned kinds) {
    if (const std::optional<uint32_t> id = tokenizer.token_to_id(text)) mark(*id, kinds);
  };
  for (uint32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id)) mark(id, kControl);
  }
  for (const uint32_t id : eos) mark(id, kControl | kEnd);
  mark_text(kEosToken, kControl | kEnd);
  for (const std::string_view text : {kBosToken, kUserToken, kAssistantToken, kReminderToken}) {
    mark_text(text, kControl | kTurn);
  }
  for (const std::string_view text : {kThinkStart, kThinkEnd, kDsmlToken}) mark_text(text, kControl);
  for (const auto& [task, text] : kTaskTokens) mark_text(text, kControl);
  hidden_.resize(kinds_.size());
  std::transform(kinds_.begin(), kinds_.end(), hidden_.begin(), [](uint8_t kinds) { return kinds != 0; });
}

void ControlTokens::mark(uint32_t id, unsigned kinds) {
  if (id >= kinds_.size()) kinds_.resize(size_t{id} + 1);
  kinds_[id] = static_cast<uint8_t>(kinds_[id] | kinds);
}

}  // namespace nibble
