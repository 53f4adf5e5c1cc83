// A folder of this process's own, removed at the end.
#pragma once

#include <filesystem>

namespace nibble::drivers {

class TemporaryFolder {
 public:
  // Throws kIo.
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace nibble::drivers
