// A directory of its own for one test, removed with all it holds at the end.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace nibble {

class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Creates or replaces the file; returns its path.
  std::string write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

// A whole file as bytes.
std::string read_bytes(const std::string& path);

}  // namespace nibble
