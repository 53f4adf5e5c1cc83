#include "runtime/vulkan/transfer.h"

#include <algorithm>
#include <cstring>

#include "runtime/device/staging.h"
#include "runtime/vulkan/commands.h"

namespace nibble::vulkan {
namespace {

void repeat_word(std::byte* to, uint64_t bytes, uint32_t word) {
  for (uint64_t at = 0; at < bytes; at += 4) std::memcpy(to + at, &word, std::min<uint64_t>(4, bytes - at));
}

}  // namespace

Transfer::~Transfer() {
  // A failed call may have left the other half under way.
  for (Half& half : halves_) {
    if (!half.in_flight || context_->is_lost()) continue;
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
  if (!half.in_flight) return;
  wait_and_reset(*context_, half.fence.get());
  half.in_flight = false;
}

template <typename Record>
void Transfer::submit(Half& half, Record&& record) {
  begin_commands(*context_, half.commands, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT);
  memory_barrier(*context_, half.commands, kComputeAll | kTransferAll, kTransferAll);
  record(half.commands);
  memory_barrier(*context_, half.commands, kTransferWrites, kHostReads);
  end_commands(*context_, half.commands);
  submit_commands(*context_, {&half.commands, 1}, half.fence.get());
  half.in_flight = true;
}

void Transfer::upload(const VulkanBuffer& to, uint64_t offset, std::span<const std::byte> from) {
  if (from.empty()) return;
  if (to.is_in_place()) {
    std::memcpy(to.mapped() + offset, from.data(), from.size());
    return;
  }
  prepare();
  size_t next = 0;
  for (uint64_t done = 0; done < from.size(); next ^= 1) {
    const uint64_t bytes = std::min<uint64_t>(kStagingHalfBytes, from.size() - done);
    wait(halves_[next]);
    std::memcpy(staging_->mapped() + next * kStagingHalfBytes, from.data() + done, bytes);
    const VkBufferCopy copy = {.srcOffset = next * kStagingHalfBytes, .dstOffset = offset + done, .size = bytes};
    submit(halves_[next], [&](VkCommandBuffer commands) {
      context_->api().vkCmdCopyBuffer(commands, staging_->handle(), to.handle(), 1, &copy);
    });
    done += bytes;
  }
  for (Half& half : halves_) wait(half);
}

void Transfer::download(const VulkanBuffer& from, uint64_t offset, std::span<std::byte> to) {
  if (to.empty()) return;
  if (from.is_in_place()) {
    std::memcpy(to.data(), from.mapped() + offset, to.size());
    return;
  }
  prepare();
  // The copy of piece i + 1 runs while the host takes piece i out.
  const uint64_t pieces = (to.size() + kStagingHalfBytes - 1) / kStagingHalfBytes;
  for (uint64_t i = 0; i <= pieces; ++i) {
    if (i < pieces) {
      const VkBufferCopy copy = {.srcOffset = offset + i * kStagingHalfBytes,
                                 .dstOffset = i % 2 * kStagingHalfBytes,
                                 .size = std::min<uint64_t>(kStagingHalfBytes, to.size() - i * kStagingHalfBytes)};
      submit(halves_[i % 2], [&](VkCommandBuffer commands) {
        context_->api().vkCmdCopyBuffer(commands, from.handle(), staging_->handle(), 1, &copy);
      });
    }
    if (i == 0) continue;
    const uint64_t at = (i - 1) * kStagingHalfBytes;
    wait(halves_[(i - 1) % 2]);
    std::memcpy(to.data() + at, staging_->mapped() + (i - 1) % 2 * kStagingHalfBytes,
                std::min<uint64_t>(kStagingHalfBytes, to.size() - at));
  }
}

void Transfer::fill(const VulkanBuffer& to, uint64_t offset, uint64_t bytes, uint32_t word) {
  if (to.is_in_place()) {
    repeat_word(to.mapped() + offset, bytes, word);
    return;
  }
  const uint64_t whole = bytes / 4 * 4;
  if (whole > 0) {
    prepare();
    submit(halves_[0], [&](VkCommandBuffer commands) {
      context_->api().vkCmdFillBuffer(commands, to.handle(), offset, whole, word);
    });
    wait(halves_[0]);
  }
  upload(to, offset + whole, std::as_bytes(std::span(&word, 1)).first(bytes - whole));
}

}  // namespace nibble::vulkan
