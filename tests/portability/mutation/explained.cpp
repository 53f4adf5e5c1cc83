#include "tests/portability/mutation/explained.h"

#include <cstdint>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"

namespace nibble::mutation {

std::string mutant_id(const std::string& variant, const std::string& site) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : site) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return fmt::format("{}:{:08x}", variant, hash);
}

// [{"why": "…", "mutants": ["gemm_bf16_f32__wide:1a2b3c4d UMin dropped", …]}, …]
std::map<std::string, std::string> read_explained(const std::string& file) {
  std::ifstream stream(file);
  const auto json = nlohmann::json::parse(stream, nullptr, false);
  if (!json.is_array()) fail(ErrorCode::kInvalidFile, "'{}' is no JSON array of reasons with their mutants", file);
  std::map<std::string, std::string> reasons;
  for (const auto& group : json) {
    for (const std::string mutant : group.at("mutants")) reasons[mutant.substr(0, mutant.find(' '))] = group.at("why");
  }
  return reasons;
}

}  // namespace nibble::mutation
