// How much workgroup memory a variant declares: known before anything is compiled, so that a device with less of it
// counts as one that cannot run the variant.
#pragma once

#include <cstdint>

#include "runtime/core/kernel_spec.h"

namespace nibble {

// Bytes of all shared arrays of `variant`, whose counts are sums of products of numbers, constants and such sums in
// parentheses ("WG / 2 * 4", "16 * 512 + 16"). Throws kInternal on a count that is none. A compiler may add a few bytes
// of padding.
uint64_t workgroup_memory_of(const Variant& variant);

}  // namespace nibble
