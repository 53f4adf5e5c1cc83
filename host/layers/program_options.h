// What the programs of a model are built for. Plain values.
#pragma once

#include <cstdint>

#include "host/kv/kv_options.h"

namespace nibble {

struct ProgramOptions {
  Numerics numerics = Numerics::kReference;
  // The indexer scores as many tokens at a time as fit so many bytes, one at least.
  uint64_t max_score_bytes = 32u << 20;
  bool all_logits = false;   // of every token of a step, not only of the last
  bool window_only = false;  // attend to no compressed entry: shows what they are worth
  bool mtp = false;          // the MTP block runs after the trunk
  bool capture = false;      // keep hidden streams and selections of the last token
};

}  // namespace nibble
