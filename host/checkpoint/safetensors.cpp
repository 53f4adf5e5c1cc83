#include "host/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/model_directory.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/format.h"

namespace nibble {
namespace {

using nlohmann::json;

// The format's own limit.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMaxRank = 8;

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;
  uint64_t bytes;
};

constexpr std::array<DtypeInfo, 16> kDtypes = {{
    {Dtype::kBool, "BOOL", 1},
    {Dtype::kI8, "I8", 1},
    {Dtype::kU8, "U8", 1},
    {Dtype::kF8E4M3, "F8_E4M3", 1},
    {Dtype::kF8E5M2, "F8_E5M2", 1},
    {Dtype::kF8E8M0, "F8_E8M0", 1},
    {Dtype::kI16, "I16", 2},
    {Dtype::kU16, "U16", 2},
    {Dtype::kF16, "F16", 2},
    {Dtype::kBf16, "BF16", 2},
    {Dtype::kI32, "I32", 4},
    {Dtype::kU32, "U32", 4},
    {Dtype::kF32, "F32", 4},
    {Dtype::kI64, "I64", 8},
    {Dtype::kU64, "U64", 8},
    {Dtype::kF64, "F64", 8},
}};

// Reads the entries of one header. Kept apart from SafetensorsFile so that each check can name file and tensor.
class HeaderReader {
 public:
  HeaderReader(const std::string* path, std::span<const std::byte> data, CutShards cut)
      : path_(path), data_(data), cut_(cut) {}

  // Whether a tensor was found that does not lie in the file whole.
  bool found_cut() const { return found_cut_; }

  TensorView read(const std::string& name, const json& entry) {
    if (!entry.is_object()) reject(name, "found {}, expected an object", json_excerpt(entry));
    TensorView tensor;
    tensor.name = name;
    tensor.file = path_;
    tensor.dtype = read_dtype(name, entry);
    for (const uint64_t extent : read_integers(name, entry, "shape", kMaxRank)) tensor.shape.push_back(extent);
    const std::vector<uint64_t> offsets = read_integers(name, entry, "data_offsets", 2);
    if (offsets.size() != 2) reject(name, "data_offsets has {} entries, expected 2", offsets.size());
    const uint64_t begin = offsets[0];
    const uint64_t end = offsets[1];
    if (begin > end) reject(name, "data_offsets [{}, {}] end before they begin", begin, end);
    const bool lost = end > data_.size();
    if (lost && cut_ == CutShards::kReject) {
      reject(name, "data_offsets [{}, {}] end after the file's {} data bytes (is the file truncated?)", begin, end,
             data_.size());
    }
    const uint64_t bytes = size_in_bytes(tensor);
    if (end - begin != bytes) {
      reject(name, "data_offsets hold {} bytes, expected {} from {} {}", end - begin, bytes, dtype_name(tensor.dtype),
             shape_text(tensor.shape));
    }
    found_cut_ = found_cut_ || lost;
    if (!lost) tensor.data = data_.subspan(begin, bytes);
    return tensor;
  }

  template <typename... Args>
  [[noreturn]] void reject(const std::string& name, fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidFile, "tensor '{}' in {}: {}", printable(name), *path_,
         fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  Dtype read_dtype(const std::string& name, const json& entry) const {
    const auto found = entry.find("dtype");
    if (found == entry.end()) reject(name, "no dtype");
    if (!found->is_string()) reject(name, "dtype is {}, expected a name", json_excerpt(*found));
    const std::optional<Dtype> dtype = dtype_from_name(found->get_ref<const std::string&>());
    if (!dtype) {
      fail(ErrorCode::kUnsupported, "tensor '{}' in {}: dtype {} is not supported", printable(name), *path_,
           json_excerpt(*found));
    }
    return *dtype;
  }

  std::vector<uint64_t> read_integers(const std::string& name, const json& entry, const char* key,
                                      size_t max_count) const {
    const auto found = entry.find(key);
    if (found == entry.end()) reject(name, "no {}", key);
    if (!found->is_array() || found->size() > max_count) {
      reject(name, "{} is {}, expected a list of at most {} integers", key, json_excerpt(*found), max_count);
    }
    std::vector<uint64_t> values;
    for (const json& value : *found) {
      if (!value.is_number_unsigned()) reject(name, "{} is {}, expected integers from 0", key, json_excerpt(*found));
      values.push_back(value.get<uint64_t>());
    }
    return values;
  }

  uint64_t size_in_bytes(const TensorView& tensor) const {
    uint64_t bytes = dtype_bytes(tensor.dtype);
    for (const uint64_t extent : tensor.shape) {
      if (extent != 0 && bytes > std::numeric_limits<uint64_t>::max() / extent) {
        reject(tensor.name, "shape {} has more than 2^64 bytes", shape_text(tensor.shape));
      }
      bytes *= extent;
    }
    return bytes;
  }

  const std::string* path_;
  std::span<const std::byte> data_;
  CutShards cut_;
  bool found_cut_ = false;
};

// The header's text and the data after it.
struct Parts {
  std::string_view header;
  std::span<const std::byte> data;
};

Parts split(const std::string& path, std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes, too short for a safetensors file", path, bytes.size());
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  if (length > kMaxHeaderBytes) {
    fail(ErrorCode::kInvalidFile, "{}: header length {}, allowed {}", path, length, kMaxHeaderBytes);
  }
  if (length > bytes.size() - kLengthBytes) {
    fail(ErrorCode::kInvalidFile, "{}: header length {}, but the file has {} bytes (is it truncated?)", path, length,
         bytes.size());
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data() + kLengthBytes);
  return {.header = {text, length}, .data = bytes.subspan(kLengthBytes + length)};
}

void reject_overlaps(const std::string& path, const std::vector<TensorView>& sorted) {
  const TensorView* last = nullptr;  // of the tensors so far that have bytes
  for (const TensorView& tensor : sorted) {
    if (tensor.data.empty()) continue;
    if (last != nullptr && tensor.data.data() < last->data.data() + last->data.size()) {
      fail(ErrorCode::kInvalidFile, "tensor '{}' in {}: data overlaps that of '{}'", printable(tensor.name), path,
           printable(last->name));
    }
    last = &tensor;
  }
}

template <typename T>
T element(const TensorView& tensor, size_t index) {
  T value;
  std::memcpy(&value, tensor.data.data() + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::string_view dtype_name(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)].name; }

uint64_t dtype_bytes(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)].bytes; }

std::optional<Dtype> dtype_from_name(std::string_view name) {
  for (const DtypeInfo& info : kDtypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

std::vector<float> read_f32(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    switch (tensor.dtype) {
      case Dtype::kF32:
        values[i] = element<float>(tensor, i);
        break;
      case Dtype::kBf16:
        values[i] = bf16_to_f32(element<uint16_t>(tensor, i));
        break;
      case Dtype::kF16:
        values[i] = f16_to_f32(element<uint16_t>(tensor, i));
        break;
      default:
        fail(ErrorCode::kUnsupported, "tensor '{}' in {}: dtype {} cannot be read as floats", printable(tensor.name),
             *tensor.file, dtype_name(tensor.dtype));
    }
  }
  return values;
}

std::vector<int64_t> read_integers(const TensorView& tensor) {
  if (tensor.dtype != Dtype::kI32 && tensor.dtype != Dtype::kI64) {
    fail(ErrorCode::kUnsupported, "tensor '{}' in {}: dtype {} cannot be read as integers", printable(tensor.name),
         *tensor.file, dtype_name(tensor.dtype));
  }
  std::vector<int64_t> values(tensor.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = tensor.dtype == Dtype::kI32 ? element<int32_t>(tensor, i) : element<int64_t>(tensor, i);
  }
  return values;
}

std::string shape_text(std::span<const uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

SafetensorsFile::SafetensorsFile(const std::string& path, MappedFile file)
    : path_(std::make_unique<const std::string>(path)), file_(std::move(file)) {}

SafetensorsFile SafetensorsFile::open(const std::string& path, CutShards cut) {
  SafetensorsFile result(path, MappedFile::open(path));
  reject_foreign_content(path, result.file_.bytes());
  const Parts parts = split(path, result.file_.bytes());
  const json header = parse_json(parts.header, path, {.max_bytes = kMaxHeaderBytes, .max_depth = 8});
  if (!header.is_object()) fail(ErrorCode::kInvalidFile, "{}: the header is not a JSON object", path);
  HeaderReader reader(result.path_.get(), parts.data, cut);
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") result.tensors_.push_back(reader.read(name, entry));
  }
  result.cut_ = reader.found_cut();
  std::vector<TensorView>& tensors = result.tensors_;
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorView& a, const TensorView& b) { return a.data.data() < b.data.data(); });
  reject_overlaps(path, tensors);
  result.by_name_.resize(tensors.size());
  std::iota(result.by_name_.begin(), result.by_name_.end(), 0u);
  std::sort(result.by_name_.begin(), result.by_name_.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
  return result;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                      [this](uint32_t index, std::string_view n) { return tensors_[index].name < n; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

}  // namespace nibble
