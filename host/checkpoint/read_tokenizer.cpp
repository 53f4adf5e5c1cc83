#include "host/checkpoint/read_tokenizer.h"

#include "host/checkpoint/model_directory.h"

namespace nibble {

Tokenizer read_tokenizer(const std::filesystem::path& file) {
  std::error_code ignored;
  // What is wrong with the directory says more than that it has no such file.
  if (!std::filesystem::is_directory(file.parent_path(), ignored)) require_model_directory(file.parent_path().string());
  return Tokenizer(parse_tokenizer_file(read_model_text(file.string(), kMaxTokenizerFileBytes), file.string()));
}

}  // namespace nibble
