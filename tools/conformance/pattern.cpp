#include <fnmatch.h>

#include <string>

#include "tools/conformance/probe.h"

namespace nibble::conformance {

bool matches(std::string_view pattern, std::string_view text) {
  return ::fnmatch(std::string(pattern).c_str(), std::string(text).c_str(), 0) == 0;
}

}  // namespace nibble::conformance
