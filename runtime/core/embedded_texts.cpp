#include "runtime/core/embedded_texts.h"

#include "runtime/base/error.h"

namespace nibble {

std::string_view embedded_text(std::string_view name) {
  for (const EmbeddedText& text : embedded_texts()) {
    if (text.name == name) return text.text;
  }
  fail(ErrorCode::kInternal, "no kernel text '{}' was built in", name);
}

}  // namespace nibble
