// The identity of a checkpoint: 128 bits that tell it apart from any other model, a fine-tuned sibling of the same
// shape included. What files and shards it is cut into does not matter, nor what tools note in config.json.
#pragma once

#include <string>

#include "host/checkpoint/checkpoint.h"

namespace nibble {

// 32 hexadecimal digits: XXH3-128 over config.json's content, every tensor's canonical name, dtype and shape, and
// samples of their bytes: 4 KiB of every tensor outside the routed experts and of at most 1024 of those, so that a
// checkpoint of 160 GB costs some thousand reads and not its whole size. Throws what reading config.json throws.
std::string model_identity(const Checkpoint& checkpoint);

}  // namespace nibble
