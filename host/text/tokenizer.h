// Tokenizer: byte-level byte-pair encoding from a Hugging Face `tokenizer.json`; gives the ids of the `tokenizers`
// package (without its post-processor: no token is added to what the text holds).
// Bytes that are not UTF-8 are encoded byte by byte, past the patterns, so decode(encode(x)) == x for any x unless an
// added token takes white space along. Immutable and safe to share between threads; move-only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/text/tokenizer_file.h"

namespace nibble {

class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}
  Tokenizer(Tokenizer&&) = default;
  Tokenizer& operator=(Tokenizer&&) = default;

  // With `parse_special` off, the text of an added token (<think>, <｜User｜>) is plain text: nothing a user types can
  // then become a role marker.
  std::vector<uint32_t> encode(std::string_view text, bool parse_special = true) const;

  // The exact bytes. An id without a token gives none, as in `tokenizers`; `skip_special` leaves out tokens that the
  // file calls special.
  std::string decode(std::span<const uint32_t> ids, bool skip_special = false) const;

  // The bytes `id` stands for; empty for an id without a token.
  std::string_view token_bytes(uint32_t id) const;
  // By the way the file writes it: "Ġthe", "<think>".
  std::optional<uint32_t> token_to_id(std::string_view written) const;
  bool is_special(uint32_t id) const;
  // One more than the greatest id.
  size_t vocab_size() const { return parts_.bytes.size(); }

 private:
  TokenizerParts parts_;
};

// StreamDecoder: text as its tokens arrive. Only whole code points come out; what can never become one comes out as
// U+FFFD, so the pieces and finish() together are what `tokenizers` decodes. What it is made from must outlive it.
class StreamDecoder {
 public:
  // Leaves out the tokens whose ids are set in `hidden`; null leaves out none.
  explicit StreamDecoder(const Tokenizer& tokenizer, const std::vector<bool>* hidden = nullptr)
      : tokenizer_(tokenizer), hidden_(hidden) {}

  std::string push(uint32_t id);
  // What is left: U+FFFD if the last code point is not whole.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  const std::vector<bool>* hidden_;
  std::string pending_;
};

}  // namespace nibble
