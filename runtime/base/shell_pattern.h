// Names chosen as a shell chooses files: * stands for any characters, ? for one, [abc] for one of these.
#pragma once

#include <string_view>

namespace nibble {

bool matches_pattern(std::string_view name, std::string_view pattern);

}  // namespace nibble
