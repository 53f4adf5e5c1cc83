// An independent answer for any legal checkpoint: the whole model in double, one pass over the whole sequence, no
// caches, no chunks, no code of the runtime but the reading of tensors. Plain numerics (nothing is rounded).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/weights.h"

namespace nibble {

// Logits of every position: [tokens][vocab].
std::vector<std::vector<double>> reference_logits(const Checkpoint& checkpoint, std::span<const uint32_t> tokens);

}  // namespace nibble
