// Outputs beside the reference.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "tools/conformance/verdict.h"

namespace nibble::conformance {

struct Comparison {
  std::string problem;  // one line; empty if all is as expected
  std::optional<WorstElement> worst;
  uint64_t wrong = 0;
  uint64_t elements = 0;
};

// Content of every binding but the kStep one, in the order of the spec.
using Contents = std::vector<std::vector<std::byte>>;

// What a device of that backend may add to every error: drivers may flush f32 subnormals to zero.
double flush_allowance(BackendKind backend);

// What element `i` of an f32 output may be off by.
double allowed_error(const Expected& want, size_t i, const Tolerance& tolerance, double flushed);

// Compares all outputs, and inputs with what they were; `before` and `found` have the bindings in the same order.
Comparison compare_contents(const KernelSpec& kernel, const std::vector<Expected>& expected,
                            const std::vector<std::span<const std::byte>>& before, const Contents& found,
                            double flushed);

// Where two runs differ: "y[17]: 0x3f800000 in one run, 0x3f800001 in another".
std::string first_difference(const KernelSpec& kernel, const Contents& one, const Contents& other);

}  // namespace nibble::conformance
