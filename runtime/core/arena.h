// Memory for temporaries: two of them share memory when their lifetimes in the list do not overlap.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/core/dispatch_list.h"

namespace nibble {

struct ArenaLimits {
  uint64_t max_buffer = 0;  // bytes of one arena buffer; a temporary above it is an error naming it
  uint64_t alignment = 256;
};

using Allocate = std::function<std::shared_ptr<Buffer>(uint64_t bytes, std::string label)>;

// Replaces every TemporaryBuffer in the list by a view into arena buffers obtained from `allocate`. Returns the bytes
// of those buffers. Hazards must be computed after this: it makes temporaries alias.
uint64_t plan_temporaries(DispatchList& list, const ArenaLimits& limits, const Allocate& allocate);

}  // namespace nibble
