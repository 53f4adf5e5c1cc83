#include "host/checkpoint/npy.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include <fmt/ranges.h>

#include "host/checkpoint/mapped_file.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

static_assert(std::endian::native == std::endian::little, "values are stored as they are in memory");

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr size_t kPreamble = kMagic.size() + 2;  // then a 16-bit header length
constexpr size_t kAlignment = 64;                // the data's, required by the format

template <typename T>
constexpr std::string_view descr() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, int32_t>) return "<i4";
  if constexpr (std::is_same_v<T, int64_t>) return "<i8";
  if constexpr (std::is_same_v<T, uint8_t>) return "|u1";
}

struct Header {
  std::string descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<uint64_t>> shape;
};

// Reads the header, a Python dict literal such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  Header parse() {
    Header header;
    expect("{");
    while (!accept("}")) {
      const std::string key = quoted();
      expect(":");
      if (key == "descr") {
        header.descr = quoted();
      } else if (key == "fortran_order") {
        header.fortran_order = accept("True");
        if (!*header.fortran_order) expect("False");
      } else if (key == "shape") {
        header.shape = tuple();
      } else {
        reject();
      }
      if (!accept(",")) {
        expect("}");
        break;
      }
    }
    skip_space();
    if (!text_.empty() || header.descr.empty() || !header.fortran_order || !header.shape) reject();
    return header;
  }

 private:
  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n')) text_.remove_prefix(1);
  }

  bool accept(std::string_view token) {
    skip_space();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token)) reject();
  }

  std::string quoted() {
    expect("'");
    const size_t end = text_.find('\'');
    if (end == std::string_view::npos) reject();
    std::string value(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return value;
  }

  std::vector<uint64_t> tuple() {
    std::vector<uint64_t> values;
    expect("(");
    while (!accept(")")) {
      uint64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
      if (error != std::errc()) reject();
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      values.push_back(value);
      if (!accept(",")) {
        expect(")");
        break;
      }
      skip_space();
    }
    return values;
  }

  [[noreturn]] void reject() const {
    fail(ErrorCode::kInvalidFile, "{}: the .npy header is damaged at '{}'", path_, printable(text_.substr(0, 40)));
  }

  const std::string& path_;
  std::string_view text_;
};

uint64_t element_count(const std::string& path, std::span<const uint64_t> shape, size_t element_bytes) {
  uint64_t bytes = element_bytes;
  for (const uint64_t extent : shape) {
    if (extent != 0 && bytes > std::numeric_limits<uint64_t>::max() / extent) {
      fail(ErrorCode::kInvalidFile, "{}: shape ({}) has more than 2^64 bytes", path, fmt::join(shape, ", "));
    }
    bytes *= extent;
  }
  return bytes / element_bytes;
}

std::string header_bytes(std::string_view type, std::span<const uint64_t> shape) {
  // A Python tuple of one has a comma.
  const std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                                       fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t unpadded = kPreamble + dict.size() + 1;
  const size_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  const size_t length = dict.size() + padding + 1;
  std::string bytes(kMagic);
  bytes += static_cast<char>(length & 0xff);
  bytes += static_cast<char>(length >> 8);
  bytes += dict;
  bytes.append(padding, ' ');
  bytes += '\n';
  return bytes;
}

}  // namespace

template <typename T>
NpyArray<T> read_npy(const std::string& path) {
  const MappedFile file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (bytes.size() < kPreamble || !bytes.starts_with(kMagic)) {
    fail(ErrorCode::kInvalidFile, "{}: not a .npy file of version 1.0", path);
  }
  const size_t length = static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  if (length > bytes.size() - kPreamble) {
    fail(ErrorCode::kInvalidFile, "{}: header length {}, but the file has {} bytes", path, length, bytes.size());
  }
  const Header header = HeaderParser(path, bytes.substr(kPreamble, length)).parse();
  if (header.descr != descr<T>()) {
    fail(ErrorCode::kInvalidFile, "{}: type '{}', expected '{}'", path, printable(header.descr), descr<T>());
  }
  if (*header.fortran_order) fail(ErrorCode::kInvalidFile, "{}: Fortran order, expected C order", path);
  const std::string_view data = bytes.substr(kPreamble + length);
  const uint64_t count = element_count(path, *header.shape, sizeof(T));
  if (data.size() != count * sizeof(T)) {
    fail(ErrorCode::kInvalidFile, "{}: {} data bytes, expected {} from shape ({})", path, data.size(),
         count * sizeof(T), fmt::join(*header.shape, ", "));
  }
  NpyArray<T> array = {.shape = *header.shape, .values = std::vector<T>(count)};
  if (count > 0) std::memcpy(array.values.data(), data.data(), data.size());
  check_mappings();
  return array;
}

template <typename T>
void write_npy(const std::string& path, std::span<const uint64_t> shape, std::span<const T> values) {
  check(values.size() == element_count(path, shape, sizeof(T)), "{}: {} values for shape ({})", path, values.size(),
        fmt::join(shape, ", "));
  OutputFile file(path, kNpyMagic);
  file.write(header_bytes(descr<T>(), shape));
  file.write(std::as_bytes(values));
  file.finish();
}

template NpyArray<float> read_npy<float>(const std::string&);
template NpyArray<int32_t> read_npy<int32_t>(const std::string&);
template NpyArray<int64_t> read_npy<int64_t>(const std::string&);
template NpyArray<uint8_t> read_npy<uint8_t>(const std::string&);
template void write_npy<float>(const std::string&, std::span<const uint64_t>, std::span<const float>);
template void write_npy<int32_t>(const std::string&, std::span<const uint64_t>, std::span<const int32_t>);
template void write_npy<int64_t>(const std::string&, std::span<const uint64_t>, std::span<const int64_t>);
template void write_npy<uint8_t>(const std::string&, std::span<const uint64_t>, std::span<const uint8_t>);

NpyWriter::NpyWriter(const std::string& path, std::span<const uint64_t> shape)
    : path_(path), file_(path, kNpyMagic), remaining_(element_count(path, shape, sizeof(float))) {
  file_.write(header_bytes(descr<float>(), shape));
}

void NpyWriter::append(std::span<const float> values) {
  check(values.size() <= remaining_, "{}: {} values more than its shape has", path_, values.size() - remaining_);
  remaining_ -= values.size();
  file_.write(std::as_bytes(values));
}

void NpyWriter::close() {
  check(remaining_ == 0, "{}: closed {} values early", path_, remaining_);
  file_.finish();
}

}  // namespace nibble
