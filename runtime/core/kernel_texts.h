// The kernel texts and preludes that were under shaders/ when this was built.
#pragma once

#include <span>
#include <string_view>

namespace nibble {

// A text that the binary carries. Other rooms have theirs: runtime/core/embed_texts.cmake makes the functions.
struct EmbeddedText {
  std::string_view name;  // path under the room's folder
  std::string_view text;
};

// Throws kInternal if there is none of that name.
std::string_view find_text(std::span<const EmbeddedText> texts, std::string_view name);

std::span<const EmbeddedText> kernel_texts();
inline std::string_view kernel_text(std::string_view name) { return find_text(kernel_texts(), name); }

}  // namespace nibble
