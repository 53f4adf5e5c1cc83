// Rows become entries of the KV cache: e4m3 with a scale per 64 for all but the rotated dims.
#pragma once

#include <cstdint>

namespace nibble {

// out[item(r)] = entry(x[r]), see common/kv_format.h.
// Bindings: x f32 [R, dim], out slabs u32 (item = entry_words), step.
// ratio 0: R = n_tokens, item = r. ratio n: R = compressed entries that the chunk completes, item = position/n + r.
struct EncodeKvParams {
  uint32_t dim = 0;
  uint32_t rope = 0;
  uint32_t format = 0;
  uint32_t entry_words = 0;
  uint32_t ratio = 0;
  uint32_t entry_capacity = 0;  // items that `out` holds; rows beyond it are dropped
};

}  // namespace nibble
