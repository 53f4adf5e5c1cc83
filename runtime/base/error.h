// Error: what every failure in nibble is reported with.
// One exception type, thrown inside and translated once at the edge (main). The message is one line that names
// the thing (file, tensor, flag), what was found and what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace nibble {

enum class ErrorCode {
  kUsage,        // a flag or argument is wrong
  kNotFound,     // a file, device or kernel that was asked for does not exist
  kInvalidFile,  // a file exists but its content is not what it must be
  kUnsupported,  // valid, but this build or this device cannot do it
  kOutOfMemory,  // the device or the host cannot hold it
  kDevice,       // a driver failed; the device is lost or misbehaved
  kIo,           // the operating system refused to read or write
  kInternal,     // a broken invariant of nibble itself
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// An invariant that only a bug in nibble can break.
template <typename... Args>
void check(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(ErrorCode::kInternal, format, std::forward<Args>(args)...);
}

}  // namespace nibble
