// The small kernels that measure a device's ceilings: reading, copying, and chains of multiply-adds as this device's
// kernels can issue them. Each way of writing one is a spec of its own; the fastest counts.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"

namespace nibble::bench {

enum class PeakKind { kRead, kCopy, kF32, kF16, kBf16, kInt8 };
std::string_view name_of(PeakKind kind);

// Bindings: x u32x4 [mask + 1], y u32x4 [lanes] (copy: [mask + 1]). An invocation takes `count` elements of x, or
// `count` rounds of multiply-adds.
struct PeakParams {
  uint32_t count = 0;
  uint32_t stride = 0;      // elements between two that an invocation reads; 1: its elements lie together
  uint32_t mask = 0;        // length of x − 1, a power of two less one: reading wraps around
  uint32_t workgroups = 0;  // in x
  float factor = 0;
  float term = 0;
};

struct PeakKernel {
  PeakKind kind = PeakKind::kRead;
  KernelSpec spec;               // with one variant
  bool contiguous = false;       // reads with stride 1
  uint32_t flops_per_round = 0;  // of one invocation
};

// Built once; the texts live as long as the program.
const std::vector<PeakKernel>& peak_kernels();

}  // namespace nibble::bench
