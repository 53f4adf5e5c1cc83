#include "runtime/core/kernel_texts.h"

#include "runtime/base/error.h"

namespace nibble {

std::string_view find_text(std::span<const EmbeddedText> texts, std::string_view name) {
  for (const EmbeddedText& text : texts) {
    if (text.name == name) return text.text;
  }
  fail(ErrorCode::kInternal, "no text '{}' was built in", name);
}

}  // namespace nibble
