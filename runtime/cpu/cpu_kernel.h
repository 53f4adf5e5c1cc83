// How a kernel is written for the host's processor: a C++ function over a range of independent work items.
// Each kernel has shaders/<name>/<name>_cpu.cpp (plain C++, always there) and optional per-ISA files beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/core/step.h"

namespace nibble {

// What one binding points at. Weights may be UNALIGNED: read them with memcpy or unaligned SIMD loads only.
struct CpuBinding {
  std::vector<std::byte*> views;  // one, or the slabs
  uint64_t items_per_slab = 0;

  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(views[0]);
  }
  // Start of an item in a slab binding.
  std::byte* item(uint64_t index, uint64_t item_bytes) const {
    return views[index / items_per_slab] + (index % items_per_slab) * item_bytes;
  }
};

struct CpuArgs {
  std::span<const CpuBinding> bindings;  // in the order of the spec, kStep included
  std::span<const std::byte> params;
  StepHeader step;
  std::span<const uint32_t> step_words;
  std::span<std::byte> scratch;  // scratch_bytes(args) long, aligned to 64 bytes, content undefined

  template <typename P>
  P get() const {
    return unpack_params<P>(params);
  }
  // The count that a param `count_at` names: step word 0 or 2.
  uint32_t count(uint32_t count_at) const { return step_words[count_at]; }
};

// kAvx512 is F, BW, DQ, VL and VBMI; kAvx512Dot adds BF16 and VNNI, the dot products of 16-bit and 8-bit numbers.
enum class CpuIsa : uint8_t { kBaseline, kAvx2, kAvx512, kAvx512Dot };

struct CpuKernel {
  std::string_view kernel;   // KernelSpec::name
  std::string_view variant;  // "cpp", "avx2", "avx512", "avx512_dot"
  CpuIsa isa = CpuIsa::kBaseline;
  // Independent work items of this step; items are run in any order by any thread.
  uint64_t (*items)(const CpuArgs& args) = nullptr;
  void (*run)(const CpuArgs& args, uint64_t begin, uint64_t end) = nullptr;
  // Optional first phase: items that fill `scratch` (activations in another format, tokens sorted by expert) before any
  // item of run() starts.
  uint64_t (*scratch_bytes)(const CpuArgs& args) = nullptr;
  uint64_t (*prepare_items)(const CpuArgs& args) = nullptr;
  void (*prepare)(const CpuArgs& args, uint64_t begin, uint64_t end) = nullptr;
  // Fewest items of prepare() worth waking another thread for: packing a row takes a few microseconds.
  uint64_t prepare_grain = 8;
};

// All implementations of a kernel, simplest first; defined per kernel as
// `std::vector<CpuKernel> cpu_kernels::<name>()` in shaders/<name>/<name>_cpu.cpp.
namespace cpu_kernels {
#define NIBBLE_KERNEL(name) std::vector<CpuKernel> name();
#include "shaders/kernels.inc"
#undef NIBBLE_KERNEL
}  // namespace cpu_kernels

}  // namespace nibble
