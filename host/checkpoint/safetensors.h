// One safetensors file: u64 little-endian header length N, N bytes of JSON, then the tensors' bytes. Source: the format
// description of the safetensors project. The file is mapped, never copied; only the header is read when it is opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/mapped_file.h"

namespace nibble {

enum class Dtype : uint8_t {
  kBool,
  kI8,
  kU8,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64
};

// The name used in safetensors headers, e.g. "F8_E4M3".
std::string_view dtype_name(Dtype dtype);
std::optional<Dtype> dtype_from_name(std::string_view name);
uint64_t dtype_bytes(Dtype dtype);

// A tensor in a mapped file. `data` has exactly the bytes of shape and dtype, row-major, little-endian, and may start
// at ANY address: load elements with memcpy. `data` and `file` live as long as the SafetensorsFile they come from.
struct TensorView {
  std::string name;  // as in the file
  Dtype dtype = Dtype::kU8;
  std::vector<uint64_t> shape;
  std::span<const std::byte> data;
  const std::string* file = nullptr;  // path

  uint64_t elements() const { return data.size() / dtype_bytes(dtype); }
};

// "[2048, 64]"
std::string shape_text(std::span<const uint64_t> shape);

// The values of a BF16, F16 or F32 tensor. Throws kUnsupported for others.
std::vector<float> read_f32(const TensorView& tensor);
// The values of an I32 or I64 tensor. Throws kUnsupported for others.
std::vector<int64_t> read_integers(const TensorView& tensor);

// What to do about a file that ends before its header says.
enum class CutShards {
  kReject,
  kReadHeader,  // tensors that do not lie in it whole have no data
};

// Immutable once open; any thread may read. Movable: views and their addresses stay valid across moves.
class SafetensorsFile {
 public:
  // Checks the whole header: offsets inside the file, no overlap, sizes that follow from shape and dtype. Errors name
  // file and tensor. Throws kNotFound, kInvalidFile, kUnsupported (dtype) or kIo.
  static SafetensorsFile open(const std::string& path, CutShards cut = CutShards::kReject);

  const std::string& path() const { return *path_; }
  // In the order of their data.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  bool is_cut() const { return cut_; }
  // nullptr when there is none.
  const TensorView* find(std::string_view name) const;

 private:
  SafetensorsFile(const std::string& path, MappedFile file);

  std::unique_ptr<const std::string> path_;
  MappedFile file_;
  bool cut_ = false;
  std::vector<TensorView> tensors_;
  std::vector<uint32_t> by_name_;  // indices into tensors_, sorted by name
};

}  // namespace nibble
