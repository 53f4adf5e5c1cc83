#include "runtime/base/file_cache.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <system_error>

#include "runtime/base/log.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr std::array<char, 8> kMagic = {'n', 'i', 'b', 'b', 'l', 'e', 'c', '1'};

struct Header {
  std::array<char, 8> magic = kMagic;
  uint64_t key_bytes = 0;
  uint64_t content_bytes = 0;
  uint64_t checksum = 0;  // of key and content
};

// FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/
uint64_t fnv1a(std::span<const std::byte> bytes, uint64_t hash) {
  for (const std::byte b : bytes) hash = (hash ^ static_cast<uint64_t>(b)) * 0x100000001b3u;
  return hash;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

uint64_t checksum_of(std::string_view key, std::span<const std::byte> content) {
  return fnv1a(content, fnv1a(bytes_of(key), 0xcbf29ce484222325u));
}

// The content, or nothing if the file is not a whole entry of this key.
std::optional<std::vector<std::byte>> parse_entry(std::ifstream& file, uint64_t file_bytes, std::string_view key) {
  Header header;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return std::nullopt;
  if (header.magic != kMagic || header.key_bytes != key.size()) return std::nullopt;
  if (header.content_bytes > file_bytes || file_bytes != sizeof header + header.key_bytes + header.content_bytes) {
    return std::nullopt;
  }
  std::string stored_key(key.size(), '\0');
  std::vector<std::byte> content(header.content_bytes);
  if (!file.read(stored_key.data(), static_cast<std::streamsize>(stored_key.size())) || stored_key != key)
    return std::nullopt;
  if (!file.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()))) {
    return std::nullopt;
  }
  if (checksum_of(key, content) != header.checksum) return std::nullopt;
  return content;
}

bool write_entry(const fs::path& path, std::string_view key, std::span<const std::byte> content) {
  const Header header = {
      .key_bytes = key.size(), .content_bytes = content.size(), .checksum = checksum_of(key, content)};
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  file.write(key.data(), static_cast<std::streamsize>(key.size()));
  file.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  file.close();
  return static_cast<bool>(file);
}

}  // namespace

fs::path FileCache::path_of(std::string_view key) const {
  // Two hashes with different starts make 128 bits; the stored key decides in the end.
  const uint64_t high = fnv1a(bytes_of(key), 0xcbf29ce484222325u);
  const uint64_t low = fnv1a(bytes_of(key), 0x9e3779b97f4a7c15u);
  return folder_ / fmt::format("{:016x}{:016x}.bin", high, low);
}

std::optional<std::vector<std::byte>> FileCache::load(std::string_view key) const {
  if (folder_.empty()) return std::nullopt;
  const fs::path path = path_of(key);
  std::error_code error;
  const uint64_t file_bytes = fs::file_size(path, error);
  if (error) return std::nullopt;  // not there yet
  std::ifstream file(path, std::ios::binary);
  std::optional<std::vector<std::byte>> content = parse_entry(file, file_bytes, key);
  if (!content) warn("cache folder '{}' has damaged entries; they are ignored and made anew", folder_.string());
  return content;
}

void FileCache::store(std::string_view key, std::span<const std::byte> content) const {
  if (folder_.empty()) return;
  static std::atomic<uint32_t> counter = 0;
  std::error_code error;
  fs::create_directories(folder_, error);
  const fs::path path = path_of(key);
  fs::path draft = path;
  draft += fmt::format(".{}.{}", getpid(), counter.fetch_add(1));
  errno = 0;
  if (!error && !write_entry(draft, key, content)) error = std::error_code(errno, std::generic_category());
  if (!error) fs::rename(draft, path, error);
  if (error) {
    warn("cache folder '{}' cannot be written ({}); going on without it", folder_.string(), error.message());
    fs::remove(draft, error);
  }
}

}  // namespace nibble
