// A checkpoint that is only announced: config.json, perhaps with an index, with headers of shards or some of the
// shards.
#pragma once

#include <string>
#include <vector>

#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/parts.h"

namespace nibble {

struct Outline {
  enum class From {
    kCheckpoint,  // every shard is there
    kHeaders,     // some are there, or the beginnings of some: the others' tensors are announced
    kConfig,      // none is
  };
  Checkpoint checkpoint;
  From from = From::kCheckpoint;
  std::vector<std::string> assumptions;  // what no file says, one phrase each
  std::vector<Part> not_used;            // as far as headers and index show it
};

// Opens `directory` where it is whole. Otherwise every tensor is what a header says of it, and those that no header
// shows are what config.json asks for, in the released layout; routed experts in the format that a shard, expert_dtype
// or the size in the index tells. All of them are zeros that take no memory: any size can be planned with. Errors as
// Checkpoint::open.
Outline open_or_outline(const std::string& directory);

}  // namespace nibble
