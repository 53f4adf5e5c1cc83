// Rows become indexer keys or queries: Hadamard rotation, then e2m1 with a scale per 32.
#pragma once

#include <cstdint>

namespace nibble {

// out[item(r)] = key(H·x[r]·dim^-½), see common/kv_format.h; dim is a power of two from 32 to 512.
// Bindings: x f32 [R, dim], out slabs u32 (item = key_words), step.
// ratio 0: R = n_tokens·rows_per_token, item = r. ratio n: R = compressed entries that the chunk completes,
// item = position/n + r.
struct EncodeIndexParams {
  uint32_t dim = 0;
  uint32_t format = 0;  // kKeyF32 leaves out the rounding only
  uint32_t key_words = 0;
  uint32_t ratio = 0;
  uint32_t rows_per_token = 1;
};

}  // namespace nibble
