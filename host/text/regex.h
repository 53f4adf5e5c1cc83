// Regex: the regular expressions of tokenizer files (written for Oniguruma's Ruby dialect, Unicode 16) run by PCRE2.
// Immutable and safe to share between threads; a RegexMatcher is the scratch space of one thread.
// A hostile pattern may backtrack exponentially. What all matches of one RegexMatcher may cost together grows with the
// text they are for, and is counted in steps of PCRE2, so that a text is refused or not on every machine alike.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace nibble {

// The pattern in PCRE2's dialect; what PCRE2 cannot say the same way is an Error that names it.
std::string translate_pattern(std::string_view pattern);

class Regex {
 public:
  explicit Regex(std::string_view pattern);
  // Matches `text` itself, no character of it special.
  static Regex literal(std::string_view text);

 private:
  friend class RegexMatcher;
  struct FreeCode {
    void operator()(void* code) const;
  };
  Regex(std::string_view pattern, std::string_view shown, uint32_t options);

  std::unique_ptr<void, FreeCode> code_;
  std::string shown_;  // as the file has it, for messages
};

struct RegexMatch {
  size_t begin, end;
};

class RegexMatcher {
 public:
  // For texts of `text_bytes` in all.
  explicit RegexMatcher(size_t text_bytes);
  // The first match in `text` (valid UTF-8) that begins at or after `from`, a code point boundary.
  std::optional<RegexMatch> find(const Regex& regex, std::string_view text, size_t from);

 private:
  struct State;
  struct FreeState {
    void operator()(State* state) const;
  };
  int match(const Regex& regex, std::string_view text, size_t from, uint32_t options, size_t steps);
  int match_at(const Regex& regex, std::string_view text, size_t at);
  int search(const Regex& regex, std::string_view text, size_t from);

  std::unique_ptr<State, FreeState> state_;
  size_t steps_left_;  // of those that positions beyond the usual may take
};

}  // namespace nibble
