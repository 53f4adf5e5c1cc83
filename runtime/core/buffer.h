// Buffer: a block of device memory of fixed size with a label; owned by shared pointers, because recorded programs keep
// their buffers alive. BufferView: a checked piece of one. Neither may outlive the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace nibble {

class Buffer {
 public:
  Buffer(uint64_t bytes, std::string label) : bytes_(bytes), label_(std::move(label)) {}
  virtual ~Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  uint64_t bytes() const { return bytes_; }
  const std::string& label() const { return label_; }

  // Host address of the content on devices whose kernels work in host memory; null elsewhere.
  virtual std::byte* host_data() { return nullptr; }

 private:
  uint64_t bytes_;
  std::string label_;
};

struct BufferView {
  std::shared_ptr<Buffer> buffer;
  uint64_t offset = 0;
  uint64_t bytes = 0;

  BufferView() = default;
  // The whole buffer.
  BufferView(std::shared_ptr<Buffer> whole);  // NOLINT(google-explicit-constructor): a buffer is its own widest view
  // Throws kInternal if the piece is not inside the buffer.
  BufferView(std::shared_ptr<Buffer> of, uint64_t from, uint64_t size);

  bool overlaps(const BufferView& other) const {
    return buffer == other.buffer && offset < other.offset + other.bytes && other.offset < offset + bytes;
  }
};

// A place-holder for an activation: it gets its memory when the list it is used in is planned (arena.h).
class TemporaryBuffer final : public Buffer {
 public:
  using Buffer::Buffer;
};

}  // namespace nibble
