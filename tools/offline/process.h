// Running other programs: compilers, and this one again with a driver's variable set.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::offline {

struct ProcessResult {
  int exit_code = 0;   // 128 + signal where a signal ended it
  std::string output;  // stdout and stderr together
};

// Runs `arguments[0]`, looked up in PATH, to its end; `variables` are added to its environment. Throws kNotFound if
// there is no such program.
ProcessResult run_process(const std::vector<std::string>& arguments,
                          const std::vector<std::pair<std::string, std::string>>& variables = {});

// Where PATH finds a program.
std::optional<std::filesystem::path> find_program(std::string_view name);

// A folder for the files that compilers want to exchange, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string path_of(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Whole files; both throw kIo.
std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view content);

}  // namespace nibble::offline
