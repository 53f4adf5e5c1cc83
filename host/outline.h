// A checkpoint that is only announced: config.json without its shards.
#pragma once

#include <string>

#include "host/checkpoint.h"

namespace nibble {

// The tensors that `directory`/config.json asks for, in the released layout and number formats (expert_dtype, otherwise
// FP4 experts), all of them zeros that take no memory: any size can be planned with. Errors as ModelConfig::load.
Checkpoint outline_checkpoint(const std::string& directory);

// Checkpoint::open where `directory` has all shards, else the outline. `from_config` says which.
Checkpoint open_or_outline(const std::string& directory, bool& from_config);

}  // namespace nibble
