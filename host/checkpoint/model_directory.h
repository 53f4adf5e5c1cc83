// What -m was given, where it is no released checkpoint: each kind of thing that people have instead gets one sentence
// that says what it is and what to do. The decisions are functions of names and first bytes, so that they can be tested
// without files.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

struct TensorView;

// What is looked at of a path.
struct PathFacts {
  enum class Type { kMissing, kFile, kDirectory };
  Type type = Type::kMissing;
  std::vector<std::string> entries;  // names in a directory
  std::string head;                  // first bytes of a file
};
// "" for a directory with a config.json, else why it is no model directory.
std::string why_no_model(const std::string& path, const PathFacts& facts);
// "" for content that may be what its name says, else what it is instead and what to do; `head` are its first bytes.
std::string why_foreign_content(std::string_view head);
// "" where the tensors' names are not those of a known other layout, else which it is and what to do.
std::string why_foreign_names(const std::map<std::string, const TensorView*, std::less<>>& tensors);
// Which of a directory's files a checkpoint without an index lies in, also those whose numbers show that they are not
// there; `problem` says why there are none.
std::vector<std::string> shards_among(const std::vector<std::string>& entries, std::string& problem);

// The same asked of the file system. Throw kNotFound, kInvalidFile or kUnsupported.
void require_model_directory(const std::string& path);
std::vector<std::string> shards_without_index(const std::string& directory);
// "no such file", "the link points to 'x', which is not there", …
std::string why_missing(const std::string& directory, const std::string& name);
void reject_foreign_content(const std::string& path, std::span<const std::byte> bytes);
// The text of config.json, of an index or a tokenizer: read_text_file() for a file that may be something else.
std::string read_model_text(const std::string& path, size_t max_bytes);

}  // namespace nibble
