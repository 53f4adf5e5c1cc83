// Which tokens are not text: those that DeepSeek's chat format writes as such, whatever the tokenizer's file says of
// them, those that the file calls special, and the ends of texts that the checkpoint names. Immutable, freely shared.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/text/tokenizer.h"

namespace nibble {

class ControlTokens {
 public:
  // `eos`: from the checkpoint's configuration.
  ControlTokens(const Tokenizer& tokenizer, std::span<const uint32_t> eos);

  bool is_control(uint32_t id) const { return has(id, kControl); }
  // After it the text is over.
  bool ends_text(uint32_t id) const { return has(id, kEnd); }
  // The turn of another begins: what follows is not the answer's any more.
  bool begins_turn(uint32_t id) const { return has(id, kTurn); }
  // By id, for a StreamDecoder that leaves them out.
  const std::vector<bool>& hidden() const { return hidden_; }

 private:
  enum Kind : uint8_t { kControl = 1, kEnd = 2, kTurn = 4 };
  bool has(uint32_t id, Kind kind) const { return id < kinds_.size() && (kinds_[id] & kind) != 0; }
  void mark(uint32_t id, unsigned kinds);

  std::vector<uint8_t> kinds_;
  std::vector<bool> hidden_;
};

}  // namespace nibble
