#include "runtime/base/shell_pattern.h"

#include <fnmatch.h>

#include <string>

namespace nibble {

bool matches_pattern(std::string_view name, std::string_view pattern) {
  return ::fnmatch(std::string(pattern).c_str(), std::string(name).c_str(), 0) == 0;
}

}  // namespace nibble
