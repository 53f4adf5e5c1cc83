// Reading `tokenizer.json`. What nibble cannot do exactly as the `tokenizers` package does (normalisation, word pieces,
// dropout) is an Error that names it; so is every contradiction in the file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/text/added_tokens.h"
#include "host/text/bpe.h"
#include "host/text/pretokenizer.h"

namespace nibble {

inline constexpr size_t kMaxTokenizerFileBytes = size_t{128} << 20;

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using TokenIds = std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>>;

struct TokenizerParts {
  std::string source;              // the file's name, for messages
  std::vector<std::string> bytes;  // by id; empty where there is no token
  std::vector<bool> special;       // by id
  TokenIds ids;                    // by the way the file writes a token
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  bool ignore_merges = false;  // a word that is a token needs no merging
};

// `name` is the file's, for messages.
TokenizerParts parse_tokenizer_file(std::string_view json, std::string_view name);

}  // namespace nibble
