// Transfer: moves bytes between the host and device memory that it does not see, through a staging ring of two halves,
// so that the host fills one while the device empties the other, from one call to the next. Copies take place in the
// order of the queue: after the programs submitted before, before those submitted after.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "runtime/vulkan/memory.h"

namespace nibble::vulkan {

class Transfer {
 public:
  Transfer(std::shared_ptr<Context> context, MemoryPool& pool) : context_(std::move(context)), pool_(pool) {}
  ~Transfer();

  // Returns when `from` is read; the buffer is kept until the copy has ended.
  void upload(const std::shared_ptr<const VulkanBuffer>& to, uint64_t offset, std::span<const std::byte> from);
  // Returns when the bytes are there.
  void download(const std::shared_ptr<const VulkanBuffer>& from, uint64_t offset, std::span<std::byte> to);
  // Returns at once. Repeats the word's four bytes; a last piece of 1 to 3 bytes gets the word's first ones. `offset`
  // is a multiple of 4.
  void fill(const std::shared_ptr<const VulkanBuffer>& to, uint64_t offset, uint64_t bytes, uint32_t word);

 private:
  struct Half {
    FenceHandle fence;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    std::shared_ptr<const VulkanBuffer> buffer;  // of the copy under way; none: the half is free
  };
  void prepare();
  void wait(Half& half);
  // Of a half that is free; `record` gets its commands.
  template <typename Record>
  void submit(Half& half, const std::shared_ptr<const VulkanBuffer>& buffer, Record&& record);
  // The half whose turn it is, free.
  size_t take_half();

  std::shared_ptr<Context> context_;
  MemoryPool& pool_;
  CommandPoolHandle commands_;
  std::shared_ptr<VulkanBuffer> staging_;
  std::array<Half, 2> halves_;
  size_t next_ = 0;
};

}  // namespace nibble::vulkan
