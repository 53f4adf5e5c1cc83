// Files that are read through mappings can be lost in use: another program cuts them short, or their disk fails. The
// system then answers a read with SIGBUS. With the guard such a read gives zeros, and whoever computed from the file
// asks check_mappings() before the result is used, which throws an error that names the file.
#pragma once

#include <cstddef>
#include <string>

namespace nibble {

// Handles SIGBUS for guarded mappings from now on; what concerns others goes to the handler that was there before.
// Called once, by programs: a library changes no signal of its host's.
void guard_mappings();

// Throws Error(kIo) where bytes of a guarded mapping that still exists were lost. Called after work that read from
// files and before its result is used; costs one load.
void check_mappings();
// The same for writable ones alone: what was computed before a read-only file was lost is still good.
void check_writable_mappings();

// Makes a mapping known to the guard while the object lives. Movable. Without guard_mappings() it changes nothing.
class GuardedMapping {
 public:
  GuardedMapping() = default;
  // `name` is for the error. `writable`: what takes the place of lost pages can be written to.
  GuardedMapping(const void* data, size_t bytes, const std::string& name, bool writable = false);
  GuardedMapping(GuardedMapping&& other) noexcept;
  GuardedMapping& operator=(GuardedMapping&& other) noexcept;
  ~GuardedMapping();

 private:
  int slot_ = -1;
};

}  // namespace nibble
