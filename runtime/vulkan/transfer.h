// Transfer: moves bytes between host and device memory. Copies in place where the host sees device memory, otherwise
// through a staging ring of two halves, so that the host fills one while the device empties the other.
// Calls return when the bytes are there. The queue must be idle of programs.
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

  void upload(const VulkanBuffer& to, uint64_t offset, std::span<const std::byte> from);
  void download(const VulkanBuffer& from, uint64_t offset, std::span<std::byte> to);
  // Repeats the word's four bytes; a last piece of 1 to 3 bytes gets the word's first ones. `offset` is a multiple
  // of 4.
  void fill(const VulkanBuffer& to, uint64_t offset, uint64_t bytes, uint32_t word);

 private:
  struct Half {
    FenceHandle fence;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    bool in_flight = false;
  };
  void prepare();
  void wait(Half& half);
  template <typename Record>
  void submit(Half& half, Record&& record);

  std::shared_ptr<Context> context_;
  MemoryPool& pool_;
  CommandPoolHandle commands_;
  std::shared_ptr<VulkanBuffer> staging_;
  std::array<Half, 2> halves_;
};

}  // namespace nibble::vulkan
