// FileCache: bytes on disk by key, for results of compilers. Losing it costs time and nothing else, so it never throws:
// a folder that cannot be read or written gives one warning and is then no cache. Entries are published by an atomic
// rename and carry their whole key and a checksum: processes may share a folder, damaged files are found and replaced.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

class FileCache {
 public:
  // Keeps nothing.
  FileCache() = default;
  // The folder is made when the first entry is stored.
  explicit FileCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::optional<std::vector<std::byte>> load(std::string_view key) const;
  void store(std::string_view key, std::span<const std::byte> content) const;

  // Where the entry of a key lives.
  std::filesystem::path path_of(std::string_view key) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace nibble
