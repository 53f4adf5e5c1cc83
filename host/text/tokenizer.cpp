#include "host/text/tokenizer.h"

#include <unordered_map>

#include "host/text/byte_level.h"
#include "host/text/json_text.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

// Encodes the words of one text. Natural text repeats its words: each is merged once.
class WordEncoder {
 public:
  WordEncoder(const TokenizerParts& parts, size_t text_bytes) : parts_(parts), matcher_(text_bytes) {}

  void encode(std::string_view text, std::vector<uint32_t>& ids) {
    while (!text.empty()) {
      const size_t valid = valid_utf8_prefix(text);
      parts_.pre_tokenizer.split(text.substr(0, valid), matcher_,
                                 [&](std::string_view word) { append_cached(word, ids); });
      text.remove_prefix(valid);
      const size_t invalid = invalid_prefix(text);
      append(text.substr(0, invalid), ids);
      text.remove_prefix(invalid);
    }
  }

 private:
  static size_t invalid_prefix(std::string_view text) {
    size_t size = 0;
    while (size < text.size()) {
      const Utf8Step step = utf8_step(text.substr(size));
      if (step.kind == Utf8Step::Kind::kValid) break;
      size += step.size;
    }
    return size;
  }

  void append_cached(std::string_view word, std::vector<uint32_t>& ids) {
    auto entry = known_.find(word);
    if (entry == known_.end()) {
      const size_t first = words_.size();
      append(word, words_);
      entry = known_.emplace(word, Range{first, words_.size() - first}).first;
    }
    const auto begin = words_.begin() + static_cast<ptrdiff_t>(entry->second.begin);
    ids.insert(ids.end(), begin, begin + static_cast<ptrdiff_t>(entry->second.count));
  }

  void append(std::string_view word, std::vector<uint32_t>& ids) const {
    if (word.empty()) return;
    if (parts_.ignore_merges) {
      const auto whole = parts_.ids.find(bytes_to_alphabet(word));
      if (whole != parts_.ids.end()) {
        ids.push_back(whole->second);
        return;
      }
    }
    parts_.bpe.encode(word, ids);
  }

  struct Range {
    size_t begin, count;
  };
  const TokenizerParts& parts_;
  RegexMatcher matcher_;
  std::unordered_map<std::string, Range, StringHash, std::equal_to<>> known_;  // word → its ids in words_
  std::vector<uint32_t> words_;
};

}  // namespace

std::vector<uint32_t> Tokenizer::encode(std::string_view text, bool parse_special) const try {
  std::vector<uint32_t> ids;
  ids.reserve(text.size() / 3);
  WordEncoder words(parts_, text.size());
  if (!parse_special) {
    words.encode(text, ids);
    return ids;
  }
  for (const TextSegment& segment : parts_.added.split(text)) {
    if (segment.token) {
      ids.push_back(segment.token->id);
    } else {
      words.encode(segment.text, ids);
    }
  }
  return ids;
} catch (const Error& error) {
  // Such as a pattern that backtracks too much: the file is to blame, not the text.
  throw Error(error.code(), parts_.source + ": " + error.what());
}

std::string Tokenizer::decode(std::span<const uint32_t> ids, bool skip_special) const {
  std::string text;
  for (const uint32_t id : ids) {
    if (!(skip_special && is_special(id))) text += token_bytes(id);
  }
  return text;
}

std::string_view Tokenizer::token_bytes(uint32_t id) const {
  return id < parts_.bytes.size() ? std::string_view(parts_.bytes[id]) : std::string_view();
}

std::optional<uint32_t> Tokenizer::token_to_id(std::string_view written) const {
  const auto found = parts_.ids.find(written);
  return found == parts_.ids.end() ? std::nullopt : std::optional(found->second);
}

bool Tokenizer::is_special(uint32_t id) const { return id < parts_.special.size() && parts_.special[id]; }

std::string StreamDecoder::push(uint32_t id) {
  if (hidden_ != nullptr && id < hidden_->size() && (*hidden_)[id]) return {};
  pending_ += tokenizer_.token_bytes(id);
  // At most the last three bytes can be the beginning of a code point that later bytes complete.
  size_t whole = 0;
  while (whole < pending_.size()) {
    const Utf8Step step = utf8_step(std::string_view(pending_).substr(whole));
    if (step.kind == Utf8Step::Kind::kTruncated) break;
    whole += step.size;
  }
  std::string text = utf8_lossy(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = utf8_lossy(pending_);
  pending_.clear();
  return text;
}

}  // namespace nibble
