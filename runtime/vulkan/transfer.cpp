#include "runtime/vulkan/transfer.h"

#include <algorithm>
#include <cstring>

#include "runtime/device/staging.h"
#include "runtime/vulkan/commands.h"

namespace nibble::vulkan {
Transfer::~Transfer() {
  for (Half& half : halves_) {
    if (half.buffer == nullptr || context_->is_lost()) continue;
    const VkFence fence = half.fence.get();
    context_->api().vkWaitForFences(context_->device(), 1, &fence, VK_TRUE, ~uint64_t{0});
  }
}

void Transfer::prepare() {
  if (staging_) return;
  commands_ = make_command_pool(*context_);
  const std::vector<VkCommandBuffer> buffers = allocate_commands(*context_, commands_.get(), 2);
  for (size_t i = 0; i < halves_.size(); ++i) {
    halves_[i].fence = make_fence(*context_);
    halves_[i].commands = buffers[i];
  }
  staging_ = pool_.allocate(2 * kStagingHalfBytes, "staging", MemoryUse::kHost);
}

void Transfer::wait(Half& half) {
  if (half.buffer == nullptr) return;
  wait_and_reset(*context_, half.fence.get());
  half.buffer = nullptr;
}

size_t Transfer::take_half() {
  prepare();
  const size_t half = next_;
  next_ ^= 1;
  wait(halves_[half]);
  return half;
}

template <typename Record>
void Transfer::submit(Half& half, const std::shared_ptr<const VulkanBuffer>& buffer, Record&& record) {
  begin_commands(*context_, half.commands, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT);
  memory_barrier(*context_, half.commands, kComputeAll | kTransferAll, kTransferAll);
  record(half.commands);
  memory_barrier(*context_, half.commands, kTransferWrites, kHostReads);
  end_commands(*context_, half.commands);
  submit_commands(*context_, {&half.commands, 1}, half.fence.get());
  half.buffer = buffer;
}

void Transfer::upload(const std::shared_ptr<const VulkanBuffer>& to, uint64_t offset, std::span<const std::byte> from) {
  for (uint64_t done = 0; done < from.size();) {
    const uint64_t bytes = std::min<uint64_t>(kStagingHalfBytes, from.size() - done);
    const size_t half = take_half();
    std::memcpy(staging_->mapped() + half * kStagingHalfBytes, from.data() + done, bytes);
    const VkBufferCopy copy = {.srcOffset = half * kStagingHalfBytes, .dstOffset = offset + done, .size = bytes};
    submit(halves_[half], to, [&](VkCommandBuffer commands) {
      context_->api().vkCmdCopyBuffer(commands, staging_->handle(), to->handle(), 1, &copy);
    });
    done += bytes;
  }
}

void Transfer::download(const std::shared_ptr<const VulkanBuffer>& from, uint64_t offset, std::span<std::byte> to) {
  // The copy of piece i + 1 runs while the host takes piece i out.
  const uint64_t pieces = (to.size() + kStagingHalfBytes - 1) / kStagingHalfBytes;
  size_t half_of_last = 0;
  for (uint64_t i = 0; i <= pieces && pieces > 0; ++i) {
    const size_t half_before = half_of_last;
    if (i < pieces) {
      half_of_last = take_half();
      const VkBufferCopy copy = {.srcOffset = offset + i * kStagingHalfBytes,
                                 .dstOffset = half_of_last * kStagingHalfBytes,
                                 .size = std::min<uint64_t>(kStagingHalfBytes, to.size() - i * kStagingHalfBytes)};
      submit(halves_[half_of_last], from, [&](VkCommandBuffer commands) {
        context_->api().vkCmdCopyBuffer(commands, from->handle(), staging_->handle(), 1, &copy);
      });
    }
    if (i == 0) continue;
    const uint64_t at = (i - 1) * kStagingHalfBytes;
    wait(halves_[half_before]);
    std::memcpy(to.data() + at, staging_->mapped() + half_before * kStagingHalfBytes,
                std::min<uint64_t>(kStagingHalfBytes, to.size() - at));
  }
}

void Transfer::fill(const std::shared_ptr<const VulkanBuffer>& to, uint64_t offset, uint64_t bytes, uint32_t word) {
  const uint64_t whole = bytes / 4 * 4;
  if (whole > 0) {
    submit(halves_[take_half()], to, [&](VkCommandBuffer commands) {
      context_->api().vkCmdFillBuffer(commands, to->handle(), offset, whole, word);
    });
  }
  upload(to, offset + whole, std::as_bytes(std::span(&word, 1)).first(bytes - whole));
}

}  // namespace nibble::vulkan
