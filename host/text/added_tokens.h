// AddedTokens: the tokens found in the raw text before any splitting, such as <｜User｜>. Those the file calls not
// "normalized" are looked for first, the others in what is left, as the `tokenizers` package does; at each place the
// longest one counts. Immutable and safe to share between threads;
// move-only, since the matchers point into the list.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

struct AddedToken {
  std::string content;
  uint32_t id = 0;
  bool special = false;
  bool normalized = false;
  bool lstrip = false;  // takes the white space before it along
  bool rstrip = false;  // takes the white space after it along
};

// A stretch of the text: an added token, or text without one (`token` is null).
struct TextSegment {
  std::string_view text;
  const AddedToken* token;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);
  AddedTokens(AddedTokens&&) = default;
  AddedTokens& operator=(AddedTokens&&) = default;

  std::vector<TextSegment> split(std::string_view text) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  struct Matcher {
    std::vector<const AddedToken*> sorted;  // by content
    std::array<bool, 256> begins{};         // first bytes
    const AddedToken* longest_at(std::string_view text) const;
    void split(std::string_view text, std::vector<TextSegment>& segments) const;
  };

  std::vector<AddedToken> tokens_;
  Matcher raw_, normalized_;
};

}  // namespace nibble
