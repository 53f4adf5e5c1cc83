// OutputFile: a result on its way to a file. It appears whole or not at all: until finish() the file that was there
// stays as it was. Links stay links; devices and pipes (/dev/null) are written as they are. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

class OutputFile {
 public:
  // Throws kUsage for a directory, kIo where nothing can be written. `magic`: a file that is there is replaced only if
  // it begins with this (or is empty): another one belongs to somebody.
  explicit OutputFile(const std::string& path, std::string_view magic = {});
  // Without finish(), removes what was written.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Both throw kIo.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void finish();

 private:
  [[noreturn]] void fail_io(std::string_view action) const;

  std::string path_;     // with links followed
  std::string partial_;  // empty: written in place
  int file_ = -1;
};

// The path with links followed, also one whose end is not there.
std::string follow_links(const std::string& path);

void write_output(const std::string& path, std::string_view text);

// Before the work whose result goes to `path`: throws as OutputFile would, and kUsage where the result would take the
// place of one of `inputs`, or of a file in a directory among them. Writes nothing.
void require_output(const std::string& path, const std::vector<std::filesystem::path>& inputs = {},
                    std::string_view magic = {});

}  // namespace nibble
