// Random checkpoints of any legal shape in the released layout, for what the golden models do not cover: hc_mult 2,
// ratio 24, partial FP8 blocks, window 20, a block for speculation or none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "host/checkpoint/config.h"
#include "host/synthetic/tensors.h"
#include "tests/support/safetensors_writer.h"

namespace nibble {

// A small legal config.json: D 128, 3 layers with ratios 0, 4, 128, hash routing in the first, one MTP block.
// Tests change single fields and dump() it.
nlohmann::json synthetic_config();

// All tensors of such a model (host/synthetic/tensors.h) in memory.
std::vector<StoredTensor> stored_synthetic_tensors(const ModelConfig& config, const SyntheticOptions& options = {});

// Writes the whole checkpoint into `directory`, which exists. `shards` as in write_checkpoint.
void write_synthetic_model(const std::string& directory, std::string_view config_json,
                           const SyntheticOptions& options = {}, size_t shards = 2);

}  // namespace nibble
