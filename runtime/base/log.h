// Messages for the person at the terminal. Everything goes to stderr; stdout belongs to results.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace nibble {

// Prints "nibble: warning: …" once per distinct message in this process; thread-safe.
void warn_once(std::string_view message);

template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  warn_once(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nibble
