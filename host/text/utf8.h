// UTF-8 as the tokenizer needs it: strict (no surrogates, no overlong forms, nothing above U+10FFFF), byte positions
// kept, and the replacement of bad bytes that the `tokenizers` package does (one U+FFFD per maximal subpart,
// Unicode 15.0 section 3.9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nibble {

// The first sequence of a text. `size` is in bytes and at least 1 for a text that is not empty.
struct Utf8Step {
  enum class Kind {
    kValid,      // a whole code point
    kInvalid,    // `size` bytes that no continuation can repair
    kTruncated,  // the text ends inside a sequence that more bytes could complete
  };
  Kind kind;
  size_t size;
  char32_t code_point;  // of a valid sequence
};
Utf8Step utf8_step(std::string_view text);

// Bytes of the longest valid prefix.
size_t valid_utf8_prefix(std::string_view text);

// Each invalid or truncated sequence becomes one U+FFFD.
std::string utf8_lossy(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

// The White_Space property of Unicode: 25 code points, unchanged since Unicode 6.3.
bool is_unicode_space(char32_t code_point);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace nibble
