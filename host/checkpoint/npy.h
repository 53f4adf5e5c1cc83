// NumPy .npy files, version 1.0, C order, little-endian: what test vectors are stored in and `nibble logits` writes.
// Source: NumPy's documentation of the format (NEP 1).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/output_file.h"

namespace nibble {

template <typename T>
struct NpyArray {
  std::vector<uint64_t> shape;
  std::vector<T> values;  // row-major
};

// T is float, int32_t, int64_t or uint8_t; a file with another type is an error. Throws kNotFound, kInvalidFile or kIo.
template <typename T>
NpyArray<T> read_npy(const std::string& path);

// values.size() is the product of `shape`. Throws kIo.
template <typename T>
void write_npy(const std::string& path, std::span<const uint64_t> shape, std::span<const T> values);

// What such a file begins with.
inline constexpr std::string_view kNpyMagic("\x93NUMPY", 6);

// Writes a float32 array row by row, so that a long one need not be in memory. The file appears when it is closed; one
// that is there is replaced if it is another array. Not thread-safe.
class NpyWriter {
 public:
  // Throws as OutputFile does.
  NpyWriter(const std::string& path, std::span<const uint64_t> shape);

  // The next values in row-major order. Throws kIo.
  void append(std::span<const float> values);
  // After the last value. Throws kIo, or kInternal when values are missing or left over. Without it there is no
  // file.
  void close();

 private:
  std::string path_;
  OutputFile file_;
  uint64_t remaining_;
};

}  // namespace nibble
