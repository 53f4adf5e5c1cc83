#include "host/text/pretokenizer.h"

#include <algorithm>
#include <span>

#include "host/text/utf8.h"

namespace nibble {
namespace {

struct Piece {
  std::string_view text;
  bool is_match;
};

// `text` as matches and what lies between them. A match of no characters cuts without taking anything.
void find_pieces(const SplitStep& step, std::string_view text, RegexMatcher& matcher, std::vector<Piece>& pieces) {
  pieces.clear();
  size_t done = 0;
  size_t from = 0;
  while (from <= text.size()) {
    const auto match = matcher.find(step.regex, text, from);
    if (!match) break;
    if (match->begin > done) pieces.push_back({text.substr(done, match->begin - done), step.invert});
    pieces.push_back({text.substr(match->begin, match->end - match->begin), !step.invert});
    done = from = match->end;
    if (match->end == match->begin) {
      if (from == text.size()) break;
      from += utf8_step(text.substr(from)).size;
    }
  }
  if (done < text.size()) pieces.push_back({text.substr(done), step.invert});
}

// Two neighbours in the same text.
std::string_view joined(std::string_view left, std::string_view right) {
  return {left.data(), left.size() + right.size()};
}

void apply_behavior(SplitBehavior behavior, const std::vector<Piece>& pieces, std::vector<std::string_view>& words) {
  const size_t first_word = words.size();
  bool previous_match = false;
  for (const auto& [text, is_match] : pieces) {
    bool join = false;
    switch (behavior) {
      case SplitBehavior::kRemoved:
        if (is_match) continue;
        break;
      case SplitBehavior::kIsolated:
        break;
      case SplitBehavior::kMergedWithPrevious:
        join = is_match && !previous_match;
        break;
      case SplitBehavior::kMergedWithNext:
        join = !is_match && previous_match;
        break;
      case SplitBehavior::kContiguous:
        join = is_match == previous_match;
        break;
    }
    if (join && words.size() > first_word) {
      words.back() = joined(words.back(), text);
    } else {
      words.push_back(text);
    }
    previous_match = is_match;
  }
}

// Cuts each of `words` by each of the steps.
void apply_steps(std::span<const SplitStep> steps, std::vector<std::string_view>& words, RegexMatcher& matcher) {
  std::vector<std::string_view> next;
  std::vector<Piece> pieces;
  for (const SplitStep& step : steps) {
    next.clear();
    for (const std::string_view word : words) {
      find_pieces(step, word, matcher, pieces);
      apply_behavior(step.behavior, pieces, next);
    }
    std::erase_if(next, [](std::string_view word) { return word.empty(); });
    words.swap(next);
  }
}

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

PreTokenizer::PreTokenizer(std::vector<SplitStep> steps, ByteLevelStep last) : steps_(std::move(steps)) {
  if (last.add_prefix_space) prefix_space_at_ = steps_.size();
  if (last.use_regex) steps_.push_back({.regex = Regex(kGpt2Pattern)});
}

void PreTokenizer::split(std::string_view text, RegexMatcher& matcher,
                         const std::function<void(std::string_view)>& take) const {
  if (text.empty()) return;
  const std::span<const SplitStep> steps = steps_;
  const size_t before_space = std::min(prefix_space_at_, steps.size());
  std::vector<std::string_view> words = {text};
  apply_steps(steps.first(before_space), words, matcher);
  if (prefix_space_at_ > steps.size()) {
    for (const std::string_view word : words) take(word);
    return;
  }
  for (const std::string_view word : words) {
    const std::string spaced = word.front() == ' ' ? std::string(word) : " " + std::string(word);
    std::vector<std::string_view> parts = {spaced};
    apply_steps(steps.subspan(before_space), parts, matcher);
    for (const std::string_view part : parts) take(part);
  }
}

}  // namespace nibble
