// Survivors of which somebody has said why no case can notice them: explained.json, beside this file.
#pragma once

#include <map>
#include <string>

namespace nibble::mutation {

// A name for a mutant that stays the same while the code around it does: "<kernel>__<variant>:1a2b3c4d".
std::string mutant_id(const std::string& variant, const std::string& site);

// Reasons by mutant_id(). Throws kInvalidFile.
std::map<std::string, std::string> read_explained(const std::string& file);

}  // namespace nibble::mutation
