// What of a checkpoint no layer of the trunk reads: an MTP block, a DSpark head, a vision encoder, tensors that nobody
// knows. Counted, so that a user sees what is there and what is not used. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/checkpoint.h"

namespace nibble {

struct Part {
  std::string name;  // "DSpark head, 3 stages", "vision encoder", "unknown 'layers.N.attn.x'"
  uint64_t tensors = 0;
  uint64_t bytes = 0;
  uint64_t missing = 0;  // tensors that the index places in shards that are not there
};

// Of `unused`, the stored names of tensors that nothing reads (survey_weights), and of shards that are missing beside
// the trunk. Unknown ones are put together by name, numbers aside.
std::vector<Part> parts_not_used(const Checkpoint& checkpoint, const std::vector<std::string>& unused);

// "DSpark head, 3 stages: 126 tensors, 1.11 MiB"
std::string describe(const Part& part);

}  // namespace nibble
