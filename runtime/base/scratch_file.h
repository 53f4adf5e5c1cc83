// ScratchFile: memory that lies in a file and vanishes with it. The file has no name: it goes when the object or the
// process ends, however it ends. Linux takes such pages out of memory when others need it and reads them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/mapping_guard.h"

namespace nibble {

class ScratchFile {
 public:
  // `bytes`, rounded up to whole pages, in a new file in `directory`; zeros. The disk's space is taken now, so that a
  // full disk is an error here and not a signal later. Throws kNotFound (no such directory) or kIo.
  ScratchFile(const std::string& directory, uint64_t bytes);
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  std::span<std::byte> bytes() const { return {data_, size_}; }  // begins at a page

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  GuardedMapping guard_;
};

}  // namespace nibble
