// Bytes of a session file that its writer, its reader and the tests agree on. All integers are little-endian.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nibble {

static_assert(std::endian::native == std::endian::little, "session files are written as they lie in memory");

// The first bytes of the file, written last: until then they are zero, and the file is none.
struct SessionFilePrefix {
  std::array<char, 16> magic = {'n', 'i', 'b', 'b', 'l', 'e', ' ', 's', 'e', 's', 's', 'i', 'o', 'n', '\n', '\0'};
  uint32_t version = 1;
  uint32_t prefix_bytes = 64;
  uint64_t file_bytes = 0;
  uint64_t table_offset = 0;     // where the sections end; the table reaches to the end of the file
  uint64_t table_bytes = 0;      // JSON: {"info": {…}, "sections": [["name", bytes, "checksum in hex"], …]}
  uint64_t table_checksum = 0;   // XXH3-64, as are the others
  uint64_t prefix_checksum = 0;  // of the bytes before
};
static_assert(sizeof(SessionFilePrefix) == 64);

// Sections follow the prefix in the table's order, each at a multiple of this; the gaps are zero. Offsets are not
// stored, so no table can make two sections overlap.
inline constexpr uint64_t kSectionAlignment = 64;

uint64_t session_file_checksum(std::span<const std::byte> bytes);

// The same of bytes that come piece by piece.
class SessionFileHash {
 public:
  SessionFileHash();
  ~SessionFileHash();
  SessionFileHash(const SessionFileHash&) = delete;
  SessionFileHash& operator=(const SessionFileHash&) = delete;

  void reset();
  void add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  void* state_;  // XXH3_state_t
};

}  // namespace nibble
