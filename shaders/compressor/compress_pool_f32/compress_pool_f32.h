// The compressor's pooling: a softmax per column over the rows of a window.
#pragma once

#include <cstdint>

namespace nibble {

// y[e,c] = Σ_i softmax_i(z_i[c] + ape_i[c])·a_i[c] over the ratio rows of window j = position/ratio + e; with `overlap`
// also over the first-half columns of window j − 1 (absent for j = 0), and window j takes the second half.
// Bindings: az f32 [T, 2·cw] (a, then z; cw = width, with overlap 2·width), ape f32 [ratio, cw],
// state f32 [slots, 2·cw] (az of earlier chunks, slot = position mod slots), y f32 [entries, width], step.
struct CompressPoolParams {
  uint32_t width = 0;
  uint32_t ratio = 0;
  uint32_t overlap = 0;
  uint32_t slots = 0;  // at least ratio − 1, with overlap 2·ratio − 1
};

}  // namespace nibble
