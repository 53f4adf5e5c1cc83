// Messages for the person at the terminal. Everything goes to stderr; stdout belongs to results.
// A message that cannot be written (the disk is full, its reader is gone, stderr is closed) is dropped: what it reports
// on goes on, and exit codes stay what they are. Thread-safe.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace nibble {

// Writes `text` to stderr as it is.
void say_text(std::string_view text) noexcept;

template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  say_text(fmt::format(format, std::forward<Args>(args)...));
}

// Prints "nibble: warning: …" once per distinct message in this process.
void warn_once(std::string_view message);

template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  warn_once(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nibble
