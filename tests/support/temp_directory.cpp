#include "tests/support/temp_directory.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "runtime/base/error.h"

namespace nibble {

TempDirectory::TempDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "nibble_test_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail(ErrorCode::kIo, "{}: cannot be created", name);
  path_ = name;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::write(std::string_view name, std::string_view content) const {
  std::string path = file(name);
  // Some file systems flush a file that is truncated and written again, which takes milliseconds; not a new one.
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) fail(ErrorCode::kIo, "{}: cannot be written", path);
  return path;
}

std::string read_bytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(ErrorCode::kIo, "{}: cannot be opened", path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace nibble
