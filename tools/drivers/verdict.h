// What is known of an API's drivers, and keeping it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/core/device_info.h"

namespace nibble::drivers {

struct Verdict {
  std::vector<std::string> excluded;                          // files of drivers to do without
  std::vector<std::pair<std::string, std::string>> switches;  // variables that keep bad layers away
  std::vector<std::string> messages;                          // what was left out and why, a line each
  std::string unusable;                                       // why the API cannot be used at all; empty if it can

  bool is_good() const { return messages.empty() && unusable.empty(); }
};

// Keeps verdicts in a folder; an empty one keeps nothing.
class VerdictCache {
 public:
  explicit VerdictCache(const std::filesystem::path& folder) : folder_(folder) {}

  // Of drivers that have not changed since; a bad one for an hour.
  std::optional<Verdict> load(BackendKind api, const std::vector<std::string>& icds) const;
  void store(BackendKind api, const std::vector<std::string>& icds, const Verdict& verdict) const;

 private:
  std::filesystem::path folder_;
};

// The cache's content, for tests: load() takes nothing that is damaged, of another identity or too old.
std::string pack_verdict(const Verdict& verdict, const std::string& identity, int64_t now);
std::optional<Verdict> unpack_verdict(const std::string& text, const std::string& identity, int64_t now);

}  // namespace nibble::drivers
