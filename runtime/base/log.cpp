#include "runtime/base/log.h"

#include <cstdio>
#include <mutex>
#include <set>
#include <string>

namespace nibble {

void warn_once(std::string_view message) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> seen;
  const std::lock_guard lock(mutex);
  if (seen.emplace(message).second) fmt::print(stderr, "nibble: warning: {}\n", message);
}

}  // namespace nibble
