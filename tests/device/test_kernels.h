// Kernels that exist for the device tests only; their texts are inline. They have no C++ form, so the cpu skips them.
#pragma once

#include "runtime/core/kernel_spec.h"

namespace nibble::test_kernels {

// y[i] = factor · x[i] + add, i < count. Variants "portable" and "narrow" (8 wide, through workgroup memory).
struct AffineParams {
  uint32_t count = 0;
  uint32_t factor = 1;
  uint32_t add = 0;
};
const KernelSpec& affine();

// y[i] += x[i], i < count.
struct AccumulateParams {
  uint32_t count = 0;
};
const KernelSpec& accumulate();

// y[t, i] = position + cols · t + i + step[word], t < n_tokens, i < cols ≤ 64.
struct StepRowsParams {
  uint32_t cols = 0;
  uint32_t word = 0;
};
const KernelSpec& step_rows();

// y[k, i] = table[ids[k], i]; the table is cut into slabs; one workgroup per row. Variants "portable" and "texels".
struct GatherParams {
  uint32_t rows = 0;
  uint32_t cols = 0;
};
const KernelSpec& gather();

}  // namespace nibble::test_kernels
