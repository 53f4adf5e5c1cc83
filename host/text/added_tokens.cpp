#include "host/text/added_tokens.h"

#include <algorithm>

#include "host/text/utf8.h"

namespace nibble {
namespace {

size_t leading_space(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const Utf8Step step = utf8_step(text.substr(size));
    if (step.kind != Utf8Step::Kind::kValid || !is_unicode_space(step.code_point)) break;
    size += step.size;
  }
  return size;
}

size_t trailing_space(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    // White space is at most three bytes long.
    size_t found = 0;
    for (size_t bytes = 1; bytes <= 3 && size + bytes <= text.size() && found == 0; ++bytes) {
      const std::string_view last = text.substr(text.size() - size - bytes, bytes);
      if (leading_space(last) == bytes) found = bytes;
    }
    if (found == 0) break;
    size += found;
  }
  return size;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (const AddedToken& token : tokens_) {
    if (token.content.empty()) continue;
    Matcher& matcher = token.normalized ? normalized_ : raw_;
    matcher.sorted.push_back(&token);
    matcher.begins[static_cast<uint8_t>(token.content[0])] = true;
  }
  const auto by_content = [](const AddedToken* a, const AddedToken* b) { return a->content < b->content; };
  for (Matcher* matcher : {&raw_, &normalized_}) std::sort(matcher->sorted.begin(), matcher->sorted.end(), by_content);
}

// Narrows the sorted list to the tokens that begin with the first 1, 2, … bytes of `text`.
const AddedToken* AddedTokens::Matcher::longest_at(std::string_view text) const {
  const AddedToken* longest = nullptr;
  auto low = sorted.begin();
  auto high = sorted.end();
  for (size_t i = 0; low != high; ++i) {
    if ((*low)->content.size() == i) {
      longest = *low++;
      if (low == high) break;
    }
    if (i == text.size()) break;
    const auto byte_at = [i](const AddedToken* token) { return static_cast<uint8_t>(token->content[i]); };
    const auto wanted = static_cast<uint8_t>(text[i]);
    low = std::partition_point(low, high, [&](const AddedToken* token) { return byte_at(token) < wanted; });
    high = std::partition_point(low, high, [&](const AddedToken* token) { return byte_at(token) == wanted; });
  }
  return longest;
}

void AddedTokens::Matcher::split(std::string_view text, std::vector<TextSegment>& segments) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = begins[static_cast<uint8_t>(text[at])] ? longest_at(text.substr(at)) : nullptr;
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->content.size();
    if (token->lstrip) begin -= trailing_space(text.substr(done, at - done));
    if (token->rstrip) end += leading_space(text.substr(end));
    if (begin > done) segments.push_back({text.substr(done, begin - done), nullptr});
    segments.push_back({text.substr(begin, end - begin), token});
    at = done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done), nullptr});
}

std::vector<TextSegment> AddedTokens::split(std::string_view text) const {
  std::vector<TextSegment> first;
  raw_.split(text, first);
  std::vector<TextSegment> segments;
  for (const TextSegment& segment : first) {
    if (segment.token) {
      segments.push_back(segment);
    } else {
      normalized_.split(segment.text, segments);
    }
  }
  return segments;
}

}  // namespace nibble
