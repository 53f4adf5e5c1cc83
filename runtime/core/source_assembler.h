// From spec + variant + kernel text to a compilable source in one of the two dialects.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "runtime/core/dispatch_list.h"
#include "runtime/core/kernel_spec.h"

namespace nibble {

// How a slab binding is cut: part of the text, so part of every cache key.
struct SlabShape {
  uint32_t slabs = 1;
  uint64_t items_per_slab = 0;
  auto operator<=>(const SlabShape&) const = default;
};

// One entry per kSlabs binding of the kernel, in binding order.
std::vector<SlabShape> slab_shapes(const Dispatch& dispatch);

// The complete source. GLSL: entry point "main", descriptor set 0, bindings numbered 0, 1, … in the order of the spec
// with a slab binding taking `slabs` consecutive numbers (kStep is numbered like any other), params in push constants;
// bindings that the variant reads through texels are uniform texel buffers, all others storage buffers.
// OpenCL C: one __kernel named like the KernelSpec, arguments in the same order, then the params struct by value
// (absent when the kernel has no params).
std::string assemble_source(const KernelSpec& kernel, const Variant& variant, const std::vector<SlabShape>& slabs,
                            Dialect dialect);

}  // namespace nibble
