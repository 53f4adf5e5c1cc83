// Device memory. Drivers allow few allocations (4096 is common) and a model has more tensors than that, so small
// buffers share blocks. Single-threaded like the device.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/scratch_file.h"
#include "runtime/core/buffer.h"
#include "runtime/vulkan/context.h"
#include "runtime/vulkan/range_allocator.h"

namespace nibble::vulkan {

// One VkDeviceMemory, mapped for its whole life where its type allows that.
struct MemoryBlock {
  std::shared_ptr<Context> context;
  std::unique_ptr<ScratchFile> file;  // what imported memory lies in
  MemoryHandle memory;
  std::byte* mapped = nullptr;
  RangeAllocator ranges;
};

// A piece of a block; gives it back when it goes.
class MemorySlice {
 public:
  MemorySlice() = default;
  MemorySlice(std::shared_ptr<MemoryBlock> block, uint64_t offset, uint64_t bytes)
      : block_(std::move(block)), offset_(offset), bytes_(bytes) {}
  MemorySlice(MemorySlice&&) = default;
  MemorySlice& operator=(MemorySlice&&) = delete;
  ~MemorySlice() {
    if (block_) block_->ranges.release(offset_, bytes_);
  }

  VkDeviceMemory memory() const { return block_->memory.get(); }
  uint64_t offset() const { return offset_; }
  std::byte* mapped() const { return block_->mapped == nullptr ? nullptr : block_->mapped + offset_; }

 private:
  std::shared_ptr<MemoryBlock> block_;
  uint64_t offset_ = 0;
  uint64_t bytes_ = 0;
};

// A part of the device's memory budget.
class Reservation {
 public:
  Reservation(std::shared_ptr<Context> context, uint64_t bytes) : context_(std::move(context)), bytes_(bytes) {}
  Reservation(Reservation&&) = default;
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() {
    if (context_) context_->release(bytes_);
  }

 private:
  std::shared_ptr<Context> context_;
  uint64_t bytes_ = 0;
};

class VulkanBuffer final : public Buffer {
 public:
  struct Parts {
    std::shared_ptr<Context> context;
    Reservation reservation;
    MemorySlice slice;
    BufferHandle handle;
    bool is_in_place = false;
  };
  VulkanBuffer(Parts parts, uint64_t bytes, std::string label)
      : Buffer(bytes, std::move(label)), parts_(std::move(parts)) {}

  VkBuffer handle() const { return parts_.handle.get(); }
  const Context* context() const { return parts_.context.get(); }
  // Where the host sees the content; null if it cannot.
  std::byte* mapped() const { return parts_.slice.mapped(); }
  // The host may read and write the content where it is; otherwise copies go through staging.
  bool is_in_place() const { return parts_.is_in_place; }

 private:
  Parts parts_;
};

enum class MemoryUse {
  kDevice,   // tensors and activations
  kOutside,  // tensors in the host's memory
  kHost,     // staging, step words, grids: always mapped
};

class MemoryPool {
 public:
  explicit MemoryPool(std::shared_ptr<Context> context) : context_(std::move(context)) {}

  // Throws kUnsupported above the size of one allocation, kOutOfMemory above the budget or when the driver says so.
  std::shared_ptr<VulkanBuffer> allocate(uint64_t bytes, std::string label, MemoryUse use);
  // A buffer that lies in a file of its own in that directory. Throws kUnsupported also where the driver does not
  // import such memory, and what ScratchFile throws.
  std::shared_ptr<VulkanBuffer> allocate_file(uint64_t bytes, std::string label, const std::string& directory);

 private:
  void check_size(uint64_t bytes, const std::string& label) const;
  BufferHandle make_buffer(uint64_t bytes, const void* next);
  Reservation reserve(uint64_t bytes, const std::string& label);
  MemorySlice place(const VkMemoryRequirements& needed, uint32_t type, const std::string& label);
  std::shared_ptr<MemoryBlock> make_block(uint64_t bytes, uint32_t type, const std::string& label);

  struct OpenBlock {
    uint32_t type = 0;
    std::weak_ptr<MemoryBlock> block;
  };
  std::shared_ptr<Context> context_;
  std::vector<OpenBlock> blocks_;  // shared ones, in order of age; they live as long as their slices
};

}  // namespace nibble::vulkan
