// Adds one row per token to every copy of the residual stream.
#pragma once

#include <cstdint>

namespace nibble {

// x[t,c,:] = a[t,c,:] + b[t,:]. Bindings: a f32 [T, copies, cols], b f32 [T, cols], x f32 [T, copies, cols], step.
struct AddParams {
  uint32_t cols = 0;
  uint32_t copies = 1;
};

}  // namespace nibble
