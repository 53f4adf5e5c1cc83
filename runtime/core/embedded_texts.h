// The kernel texts and preludes that were under shaders/, and the probes under tools/conformance/, when this was built.
#pragma once

#include <span>
#include <string_view>

namespace nibble {

struct EmbeddedText {
  std::string_view name;  // path under shaders/ or tools/conformance/
  std::string_view text;
};

std::span<const EmbeddedText> embedded_texts();
// Throws kInternal if there is none of that name.
std::string_view embedded_text(std::string_view name);

}  // namespace nibble
