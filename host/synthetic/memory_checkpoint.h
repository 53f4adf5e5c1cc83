// A synthetic checkpoint that is never written to disk.
#pragma once

#include "host/checkpoint/checkpoint.h"
#include "host/synthetic/tensors.h"

namespace nibble {

// All tensors of `config` in memory, drawn as write_synthetic_checkpoint() would draw them.
Checkpoint synthetic_checkpoint(const ModelConfig& config, const SyntheticOptions& options);

}  // namespace nibble
