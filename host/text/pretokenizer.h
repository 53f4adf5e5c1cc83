// PreTokenizer: cuts a text into the words that byte-pair encoding then merges inside. A list of steps, each cutting
// the pieces of the one before; immutable and safe to share between threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/text/regex.h"

namespace nibble {

// What happens to the text that a pattern matches.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Regex regex;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what does not match is taken as the match
};

// The step that ends every byte-level pre-tokenizer.
struct ByteLevelStep {
  bool add_prefix_space = false;  // a piece that does not begin with a space gets one
  bool use_regex = false;         // then GPT-2's pattern cuts it
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  PreTokenizer(std::vector<SplitStep> steps, ByteLevelStep last);

  // Gives the words of `text` (valid UTF-8) in order, none empty; a word lives as long as the call of `take`.
  void split(std::string_view text, RegexMatcher& matcher, const std::function<void(std::string_view)>& take) const;

 private:
  std::vector<SplitStep> steps_;       // those after the prefix space included
  size_t prefix_space_at_ = SIZE_MAX;  // the step before which the prefix space is added; none by default
};

}  // namespace nibble
