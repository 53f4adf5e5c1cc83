// Writes a synthetic checkpoint to disk as released ones are laid out: config.json, safetensors shards, their index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include <nlohmann/json_fwd.hpp>

#include "host/synthetic/tensors.h"

namespace nibble {

// Called while files are written: bytes done of total. What it throws ends the writing and removes the files.
using WriteProgress = std::function<void(uint64_t done, uint64_t total)>;

// One shard for each layer and one for the rest, at most `piece_bytes` of it in memory at a time. config.json comes
// last, so that what was interrupted is not taken for a checkpoint. `directory` is made if it is missing and must be
// empty. Throws kIo (not empty, too little space, what the system said).
void write_synthetic_checkpoint(const std::filesystem::path& directory, const nlohmann::json& config,
                                const SyntheticOptions& options, const WriteProgress& progress = {});

}  // namespace nibble
