#include "host/kv/session_file.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "host/kv/session_file_format.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

using nlohmann::json;

// A million-token session has about 300 sections, 60 bytes of table each.
constexpr JsonLimits kTableLimits = {.max_bytes = size_t{16} << 20, .max_depth = 8, .max_values = size_t{1} << 20};

SessionFilePrefix read_prefix(const std::string& path, std::span<const std::byte> bytes) {
  SessionFilePrefix prefix;
  const SessionFilePrefix expected;
  const size_t there = std::min(bytes.size(), sizeof prefix.magic);
  const std::span<const std::byte> magic = std::as_bytes(std::span(expected.magic));
  if (!std::equal(magic.begin(), magic.begin() + static_cast<ptrdiff_t>(there), bytes.begin())) {
    fail(ErrorCode::kInvalidFile, "{}: not a session file (it does not begin with 'nibble session')", path);
  }
  if (bytes.size() < sizeof prefix) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, too short for a session file, which has {} or more", path,
         bytes.size(), sizeof prefix);
  }
  std::memcpy(&prefix, bytes.data(), sizeof prefix);
  if (prefix.version != expected.version) {
    fail(ErrorCode::kUnsupported, "{}: session file of version {}, this program reads version {}", path, prefix.version,
         expected.version);
  }
  const uint64_t checksum = session_file_checksum(bytes.first(offsetof(SessionFilePrefix, prefix_checksum)));
  if (checksum != prefix.prefix_checksum) {
    fail(ErrorCode::kInvalidFile, "{}: the prefix's checksum is {:016x}, expected {:016x}: the file is damaged", path,
         checksum, prefix.prefix_checksum);
  }
  return prefix;
}

// The table's bytes, when the prefix's numbers fit the file.
std::string_view find_table(const std::string& path, const SessionFilePrefix& prefix,
                            std::span<const std::byte> bytes) {
  if (prefix.prefix_bytes != sizeof prefix) {
    fail(ErrorCode::kInvalidFile, "{}: a prefix of {} bytes, expected {}", path, prefix.prefix_bytes, sizeof prefix);
  }
  if (prefix.file_bytes != bytes.size()) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, expected {} (is it truncated?)", path, bytes.size(),
         prefix.file_bytes);
  }
  if (prefix.table_offset < sizeof prefix || prefix.table_offset > bytes.size() ||
      prefix.table_bytes != bytes.size() - prefix.table_offset) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes of table at {} do not end where the file of {} bytes does", path,
         prefix.table_bytes, prefix.table_offset, bytes.size());
  }
  const auto table = bytes.subspan(prefix.table_offset);
  const uint64_t checksum = session_file_checksum(table);
  if (checksum != prefix.table_checksum) {
    fail(ErrorCode::kInvalidFile, "{}: the table's checksum is {:016x}, expected {:016x}: the file is damaged", path,
         checksum, prefix.table_checksum);
  }
  return {reinterpret_cast<const char*>(table.data()), table.size()};
}

// False unless `text` is exactly 16 hexadecimal digits.
bool parse_checksum(const std::string& text, uint64_t& checksum) {
  if (text.size() != 16) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), checksum, 16);
  return error == std::errc() && end == text.data() + text.size();
}

// Read from a slow disk, a piece takes a moment.
constexpr size_t kVerifyBytes = size_t{32} << 20;

uint64_t checksum_of(std::span<const std::byte> bytes, const std::function<void()>& between_pieces) {
  SessionFileHash hash;
  while (!bytes.empty()) {
    if (between_pieces) between_pieces();
    const size_t count = std::min(bytes.size(), kVerifyBytes);
    hash.add(bytes.first(count));
    bytes = bytes.subspan(count);
  }
  return hash.value();
}

bool all_zero(std::span<const std::byte> bytes) {
  for (const std::byte b : bytes) {
    if (b != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

uint64_t session_file_checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

SessionFileHash::SessionFileHash() : state_(XXH3_createState()) {
  check(state_ != nullptr, "no memory for a checksum");
  reset();
}

SessionFileHash::~SessionFileHash() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }

void SessionFileHash::reset() { XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_)); }

void SessionFileHash::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
}

uint64_t SessionFileHash::value() const { return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_)); }

SessionFile SessionFile::open(const std::string& path) {
  SessionFile file(path, MappedFile::open(path));
  const std::span<const std::byte> bytes = file.file_.bytes();
  const SessionFilePrefix prefix = read_prefix(path, bytes);
  file.read_table(find_table(path, prefix, bytes), prefix.table_offset);
  return file;
}

void SessionFile::read_table(std::string_view text, uint64_t sections_end) {
  json table = parse_json(text, path_ + ": the table", kTableLimits);
  if (!table.is_object() || !table.contains("info") || !table["info"].is_object() || !table.contains("sections") ||
      !table["sections"].is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: the table is {}, expected an object with 'info' and a list 'sections'", path_,
         json_excerpt(table));
  }
  info_ = std::move(table["info"]);
  uint64_t offset = sizeof(SessionFilePrefix);
  for (const json& row : table["sections"]) {
    Section section;
    const bool shaped = row.is_array() && row.size() == 3 && row[0].is_string() && row[1].is_number_unsigned() &&
                        row[2].is_string() && parse_checksum(row[2].get<std::string>(), section.checksum);
    if (!shaped) {
      fail(ErrorCode::kInvalidFile, "{}: section {}: expected a name, a number of bytes and a checksum", path_,
           json_excerpt(row));
    }
    const auto name = row[0].get<std::string>();
    section.bytes = row[1].get<uint64_t>();
    section.offset = offset;
    if (section.bytes > sections_end - offset) {
      fail(ErrorCode::kInvalidFile, "{}: section '{}': {} bytes at {}, expected to end by {}, where the table begins",
           path_, printable(name), section.bytes, offset, sections_end);
    }
    offset += section.bytes;
    offset += std::min((kSectionAlignment - offset % kSectionAlignment) % kSectionAlignment, sections_end - offset);
    if (!sections_.emplace(name, section).second) {
      fail(ErrorCode::kInvalidFile, "{}: section '{}' is there twice", path_, printable(name));
    }
  }
  if (offset != sections_end) {
    fail(ErrorCode::kInvalidFile, "{}: the sections end at {}, expected {}, where the table begins", path_, offset,
         sections_end);
  }
}

uint64_t SessionFile::section_bytes(std::string_view name) const {
  const auto found = sections_.find(name);
  return found == sections_.end() ? 0 : found->second.bytes;
}

void SessionFile::verify(const std::function<void()>& between_pieces) {
  const std::span<const std::byte> bytes = file_.bytes();
  file_.will_read_in_order();
  for (const auto& [name, section] : sections_) {
    const uint64_t checksum = checksum_of(bytes.subspan(section.offset, section.bytes), between_pieces);
    if (checksum != section.checksum) {
      check_mappings();  // bytes that are lost are not a damaged file
      fail(ErrorCode::kInvalidFile, "{}: section '{}': its checksum is {:016x}, expected {:016x}: the file is damaged",
           path_, printable(name), checksum, section.checksum);
    }
    const uint64_t end = section.offset + section.bytes;
    const uint64_t gap = (kSectionAlignment - end % kSectionAlignment) % kSectionAlignment;
    if (!all_zero(bytes.subspan(end, std::min<uint64_t>(gap, bytes.size() - end)))) {
      fail(ErrorCode::kInvalidFile, "{}: section '{}': the bytes after it are not zero: the file is damaged", path_,
           printable(name));
    }
  }
  verified_ = true;
}

std::span<const std::byte> SessionFile::section(std::string_view name, uint64_t bytes) const {
  check(verified_, "{}: section '{}' is read before the file was verified", path_, name);
  const auto found = sections_.find(name);
  if (found == sections_.end()) fail(ErrorCode::kInvalidFile, "{}: no section '{}'", path_, name);
  if (found->second.bytes != bytes) {
    fail(ErrorCode::kInvalidFile, "{}: section '{}': {} bytes, expected {}", path_, name, found->second.bytes, bytes);
  }
  return file_.bytes().subspan(found->second.offset, bytes);
}

}  // namespace nibble
