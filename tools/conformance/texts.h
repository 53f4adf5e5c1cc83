// Texts that conformance carries: kernels of probes, the page of reports, reproducers, and what is expected of drivers.
#pragma once

#include "runtime/core/kernel_texts.h"

namespace nibble {

std::span<const EmbeddedText> conformance_texts();  // named by their path under tools/conformance/
std::span<const EmbeddedText> expected_texts();     // under tests/portability/expected/

// Throws kInternal if there is none of that name.
inline std::string_view conformance_text(std::string_view name) { return find_text(conformance_texts(), name); }

}  // namespace nibble
