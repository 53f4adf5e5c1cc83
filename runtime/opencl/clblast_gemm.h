// Dense f32 GEMM by CLBlast on an OpenCL device's buffers, outside recorded programs: the baseline that our GEMM
// kernels are measured against.
#pragma once

#include <cstdint>

#include "runtime/core/buffer.h"
#include "runtime/device/device.h"

namespace nibble::opencl {

// c [m, n] = a [m, k] · b, all row-major f32 without padding. b is [k, n], or [n, k] when b_transposed, which is how
// weights lie.
struct ClblastGemm {
  uint32_t m = 0;
  uint32_t n = 0;
  uint32_t k = 0;
  bool b_transposed = false;
  BufferView a;
  BufferView b;
  BufferView c;
};

// Runs it and waits. Throws kUnsupported if `device` is of another backend, kInternal if a view is too small, kDevice
// when CLBlast fails.
void run_clblast_gemm(Device& device, const ClblastGemm& gemm);

}  // namespace nibble::opencl
