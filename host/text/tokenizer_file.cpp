#include "host/text/tokenizer_file.h"

#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "host/text/byte_level.h"
#include "host/text/json_text.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

using Json = nlohmann::json;

// Far above any published vocabulary (300,000), low enough that the tables by id stay below 100 MB.
constexpr uint64_t kMaxTokens = 1u << 21;
// Added tokens are looked for at every byte of a text, so a long one may cost its length each time. Those of released
// files, runs of white space included, have less than 128 bytes.
constexpr size_t kMaxAddedTokenBytes = 256;
// Each goes over the whole text. Released files have four.
constexpr size_t kMaxSteps = 32;
// Published files are 2 to 35 MB and nest 6 levels deep; a parsed one takes about ten times its size.
constexpr JsonLimits kJsonLimits = {.max_bytes = kMaxTokenizerFileBytes, .max_depth = 32};

class FileReader {
 public:
  explicit FileReader(std::string_view name) : name_(name) {}

  TokenizerParts read(std::string_view text) {
    const Json file = parse_json(text, std::string(name_), kJsonLimits);
    if (!file.is_object()) invalid("expected an object, found {}", file.type_name());
    reject_normalizer(file);
    read_vocab(object(file, "model"));
    read_added_tokens(file);
    read_merges(object(file, "model"));
    read_pre_tokenizer(file);
    reject_other_decoder(file);
    return std::move(parts_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void invalid(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "{}: {}", name_, printable(fmt::format(format, std::forward<Args>(args)...)));
  }
  template <typename... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kUnsupported, "{}: {}", name_, printable(fmt::format(format, std::forward<Args>(args)...)));
  }

  // A member that may be missing or null; null then.
  static const Json& optional_member(const Json& parent, const char* key) {
    static const Json kNull;
    const auto found = parent.find(key);
    return found == parent.end() ? kNull : *found;
  }

  const Json& object(const Json& parent, const char* key) const {
    const Json& value = optional_member(parent, key);
    if (!value.is_object()) invalid("'{}' is {}, expected an object", key, value.type_name());
    return value;
  }

  const std::string& text_member(const Json& parent, const char* key) const {
    const Json& value = optional_member(parent, key);
    if (!value.is_string()) invalid("'{}' is {}, expected a string", key, value.type_name());
    return value.get_ref<const std::string&>();
  }

  bool flag(const Json& parent, const char* key, bool fallback) const {
    const Json& value = optional_member(parent, key);
    if (value.is_null()) return fallback;
    if (!value.is_boolean()) invalid("'{}' is {}, expected true or false", key, value.type_name());
    return value.get<bool>();
  }

  const Json& list(const Json& parent, const char* key) const {
    const Json& value = optional_member(parent, key);
    if (!value.is_array()) invalid("'{}' is {}, expected a list", key, value.type_name());
    return value;
  }

  uint32_t token_id(const Json& value, std::string_view token) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= kMaxTokens) {
      invalid("token '{}': id {}, expected a whole number below {}", token, json_excerpt(value), kMaxTokens);
    }
    return value.get<uint32_t>();
  }

  void add_token(const std::string& written, uint32_t id, std::string bytes) {
    if (written.empty()) invalid("id {}: a token without characters", id);
    if (id >= parts_.bytes.size()) {
      parts_.bytes.resize(id + 1);
      parts_.special.resize(id + 1);
    }
    if (!parts_.bytes[id].empty()) invalid("token '{}': id {} has a token already", written, id);
    if (!parts_.ids.emplace(written, id).second) invalid("token '{}' comes twice", written);
    parts_.bytes[id] = std::move(bytes);
  }

  void read_vocab(const Json& model) {
    if (text_member(model, "type") != "BPE") unsupported("model type '{}', expected BPE", text_member(model, "type"));
    if (!optional_member(model, "dropout").is_null()) unsupported("model.dropout is not supported");
    if (flag(model, "byte_fallback", false)) unsupported("model.byte_fallback is not supported");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& affix = optional_member(model, key);
      if (!affix.is_null() && affix != "") unsupported("model.{} is not supported", key);
    }
    parts_.ignore_merges = flag(model, "ignore_merges", false);
    for (const auto& [token, id] : object(model, "vocab").items()) {
      // Control tokens stand in the vocabulary too, written as they are.
      add_token(token, token_id(id, token), bytes_from_alphabet(token).value_or(token));
    }
  }

  void read_added_tokens(const Json& file) {
    if (optional_member(file, "added_tokens").is_null()) return;
    std::vector<AddedToken> tokens;
    for (const Json& entry : list(file, "added_tokens")) {
      if (!entry.is_object()) invalid("an entry of added_tokens is {}, expected an object", entry.type_name());
      const std::string& content = text_member(entry, "content");
      if (content.size() > kMaxAddedTokenBytes) {
        invalid("an added token of {} bytes, allowed {}", content.size(), kMaxAddedTokenBytes);
      }
      const uint32_t id = token_id(optional_member(entry, "id"), content);
      if (flag(entry, "single_word", false)) unsupported("added token '{}': single_word is not supported", content);
      const auto known = parts_.ids.find(content);
      if (known == parts_.ids.end()) {
        add_token(content, id, content);
      } else if (known->second != id) {
        invalid("added token '{}': id {}, but the token has id {}", content, id, known->second);
      }
      parts_.bytes[id] = content;
      const bool special = flag(entry, "special", false);
      parts_.special[id] = special;
      tokens.push_back({.content = content,
                        .id = id,
                        .special = special,
                        .normalized = flag(entry, "normalized", !special),
                        .lstrip = flag(entry, "lstrip", false),
                        .rstrip = flag(entry, "rstrip", false)});
    }
    parts_.added = AddedTokens(std::move(tokens));
  }

  uint32_t id_of(std::string_view token) const {
    const auto found = parts_.ids.find(token);
    if (found == parts_.ids.end()) invalid("a merge names '{}', which is not in the vocabulary", token);
    return found->second;
  }

  // "a b" in older files, ["a", "b"] in newer ones.
  std::pair<std::string_view, std::string_view> merge_pair(const Json& entry) const {
    if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      return {entry[0].get_ref<const std::string&>(), entry[1].get_ref<const std::string&>()};
    }
    if (entry.is_string()) {
      const std::string_view text = entry.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
        return {text.substr(0, space), text.substr(space + 1)};
      }
    }
    invalid("merge {} is not a pair of tokens", json_excerpt(entry));
  }

  void read_merges(const Json& model) {
    const Json& entries = list(model, "merges");
    std::vector<Bpe::Merge> merges;
    merges.reserve(entries.size());
    std::string result;
    for (const Json& entry : entries) {
      const auto [left, right] = merge_pair(entry);
      result.assign(left).append(right);
      merges.push_back({id_of(left), id_of(right), id_of(result)});
    }
    Bpe::ByteTokens byte_tokens{};
    for (size_t byte = 0; byte < byte_tokens.size(); ++byte) {
      std::string written;
      append_utf8(written, byte_alphabet()[byte]);
      const auto found = parts_.ids.find(written);
      if (found == parts_.ids.end()) {
        invalid("no token for byte 0x{:02x} ('{}'); a byte-level vocabulary has all 256", byte, written);
      }
      byte_tokens[byte] = found->second;
    }
    parts_.bpe = Bpe(byte_tokens, merges);
  }

  void reject_normalizer(const Json& file) const { reject_normalizer_value(optional_member(file, "normalizer")); }

  void reject_normalizer_value(const Json& normalizer) const {
    if (normalizer.is_null()) return;
    if (!normalizer.is_object()) invalid("'normalizer' is {}, expected an object", normalizer.type_name());
    const std::string& type = text_member(normalizer, "type");
    if (type != "Sequence") unsupported("normalizer {} is not supported", type);
    for (const Json& part : list(normalizer, "normalizers")) reject_normalizer_value(part);
  }

  static void flatten(const Json& step, std::vector<const Json*>& steps) {
    const Json& parts = optional_member(step, "pretokenizers");
    if (!parts.is_array()) {
      steps.push_back(&step);
      return;
    }
    for (const Json& part : parts) flatten(part, steps);
  }

  void read_pre_tokenizer(const Json& file) {
    std::vector<const Json*> steps;
    flatten(object(file, "pre_tokenizer"), steps);
    if (steps.size() > kMaxSteps) invalid("{} pre_tokenizers, allowed {}", steps.size(), kMaxSteps);
    std::vector<SplitStep> splits;
    std::optional<ByteLevelStep> byte_level;
    for (const Json* step : steps) {
      if (!step->is_object()) invalid("a pre_tokenizer is {}, expected an object", step->type_name());
      if (byte_level) unsupported("a pre_tokenizer after ByteLevel is not supported");
      const std::string& type = text_member(*step, "type");
      if (type == "Split") {
        splits.push_back(split_step(*step));
      } else if (type == "Digits") {
        const bool each = flag(*step, "individual_digits", false);
        splits.push_back({.regex = Regex(each ? R"(\p{N})" : R"(\p{N}+)")});
      } else if (type == "ByteLevel") {
        byte_level = {.add_prefix_space = flag(*step, "add_prefix_space", true),
                      .use_regex = flag(*step, "use_regex", true)};
      } else {
        unsupported("pre_tokenizer {} is not supported (Split, Digits and ByteLevel are)", type);
      }
    }
    if (!byte_level) unsupported("no ByteLevel pre_tokenizer; only byte-level vocabularies are supported");
    parts_.pre_tokenizer = PreTokenizer(std::move(splits), *byte_level);
  }

  SplitStep split_step(const Json& step) const {
    const Json& pattern = object(step, "pattern");
    const bool is_regex = pattern.contains("Regex");
    const std::string& text = text_member(pattern, is_regex ? "Regex" : "String");
    return {.regex = is_regex ? Regex(text) : Regex::literal(text),
            .behavior = split_behavior(text_member(step, "behavior")),
            .invert = flag(step, "invert", false)};
  }

  SplitBehavior split_behavior(const std::string& name) const {
    constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
        {"Removed", SplitBehavior::kRemoved},
        {"Isolated", SplitBehavior::kIsolated},
        {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
        {"MergedWithNext", SplitBehavior::kMergedWithNext},
        {"Contiguous", SplitBehavior::kContiguous},
    };
    for (const auto& [known, behavior] : kNames) {
      if (name == known) return behavior;
    }
    invalid("Split behavior '{}' is not known", name);
  }

  void reject_other_decoder(const Json& file) const {
    const Json& decoder = optional_member(file, "decoder");
    if (decoder.is_null()) return;
    if (!decoder.is_object()) invalid("'decoder' is {}, expected an object", decoder.type_name());
    if (text_member(decoder, "type") != "ByteLevel") {
      unsupported("decoder {} is not supported, expected ByteLevel", text_member(decoder, "type"));
    }
  }

  std::string_view name_;
  TokenizerParts parts_;
};

}  // namespace

TokenizerParts parse_tokenizer_file(std::string_view json, std::string_view name) {
  TokenizerParts parts = FileReader(name).read(json);
  parts.source = name;
  return parts;
}

}  // namespace nibble
