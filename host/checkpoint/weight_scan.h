// Looks at every byte of a checkpoint for codes that no weight may have: what a kernel computes from them is no number.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "host/checkpoint/checkpoint.h"

namespace nibble {

// What one tensor has of them.
struct ReservedCodes {
  std::string name;  // stored name
  const std::string* file = nullptr;
  uint64_t nan = 0;        // e4m3 0x7f and 0xff, e8m0 255, NaN of the float formats
  uint64_t infinite = 0;   // of the float formats; e4m3 and e8m0 have none
  uint64_t too_large = 0;  // scales with which the format's largest value exceeds f32

  uint64_t all() const { return nan + infinite + too_large; }
};

// Counts in one tensor; `largest_scale_code`: the last e8m0 code that is not too large.
ReservedCodes reserved_codes(const TensorView& tensor, uint8_t largest_scale_code);

// The tensors that have any, in the order of the shards. `progress` gets bytes done of all. Throws kIo where a shard is
// lost meanwhile.
std::vector<ReservedCodes> scan_weights(const Checkpoint& checkpoint,
                                        const std::function<void(uint64_t done, uint64_t total)>& progress);

// "layers.3.attn.wq_a.scale in FILE: 2 NaN, 1 scale too large for f32"
std::string describe(const ReservedCodes& codes);

}  // namespace nibble
