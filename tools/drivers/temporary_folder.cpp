#include "tools/drivers/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "runtime/base/error.h"

namespace nibble::drivers {

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error) fail(ErrorCode::kIo, "no folder for temporary files: {}", error.message());
  std::string name = (parent / "nibble_drivers_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail(ErrorCode::kIo, "'{}': cannot be made: {}", name, std::strerror(errno));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace nibble::drivers
