// The tokenizer that lies beside a checkpoint's weights.
#pragma once

#include <filesystem>

#include "host/text/tokenizer.h"

namespace nibble {

// Reads a tokenizer.json. Throws kNotFound, kInvalidFile or kUnsupported; a path that is no model directory's is
// explained as in model_directory.h.
Tokenizer read_tokenizer(const std::filesystem::path& file);

}  // namespace nibble
