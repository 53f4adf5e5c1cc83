#include "runtime/vulkan/memory.h"

#include <algorithm>
#include <optional>

#include "runtime/base/error.h"

namespace nibble::vulkan {
namespace {

// Buffers up to 1 MiB share blocks of 16 MiB: Flash's 30,000 small tensors and scales need a few hundred of them.
constexpr uint64_t kSharedBuffer = uint64_t{1} << 20;
constexpr uint64_t kSharedBlock = uint64_t{16} << 20;
// Kernels read whole 16-byte vectors, so a buffer ends on a multiple of them.
constexpr uint64_t kPadding = 16;

VkBufferUsageFlags usage_of_buffers(const DeviceInfo& device) {
  const bool texels = device.capabilities.has(Capability::kTexelBuffers);
  return VkBufferUsageFlags{VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                            VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT} |
         (texels ? VkBufferUsageFlags{VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT} : 0u);
}

}  // namespace

void MemoryPool::check_size(uint64_t bytes, const std::string& label) const {
  const uint64_t limit = context_->info().limits.max_allocation;
  if (bytes <= limit) return;
  fail(ErrorCode::kUnsupported, "buffer '{}': {}, device '{}' allows {} in one allocation", label, format_bytes(bytes),
       context_->info().name, format_bytes(limit));
}

BufferHandle MemoryPool::make_buffer(uint64_t bytes, const void* next) {
  const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                   .pNext = next,
                                   .flags = 0,
                                   .size = (std::max<uint64_t>(bytes, 1) + kPadding - 1) / kPadding * kPadding,
                                   .usage = usage_of_buffers(context_->info()),
                                   .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
                                   .queueFamilyIndexCount = 0,
                                   .pQueueFamilyIndices = nullptr};
  VkBuffer buffer = VK_NULL_HANDLE;
  context_->check(context_->api().vkCreateBuffer(context_->device(), &info, nullptr, &buffer), "vkCreateBuffer");
  return {*context_, buffer};
}

std::shared_ptr<VulkanBuffer> MemoryPool::allocate(uint64_t bytes, std::string label, MemoryUse use) {
  if (use != MemoryUse::kHost) check_size(bytes, label);
  Reservation reservation = reserve(use == MemoryUse::kDevice ? bytes : 0, label);
  BufferHandle handle = make_buffer(bytes, nullptr);
  VkMemoryRequirements needed;
  context_->api().vkGetBufferMemoryRequirements(context_->device(), handle.get(), &needed);

  const DevicePlan& plan = context_->plan();
  const uint32_t type = use == MemoryUse::kDevice ? plan.device_memory_type : plan.host_memory_type;
  if ((needed.memoryTypeBits & (1u << type)) == 0) {
    fail(ErrorCode::kUnsupported, "buffer '{}': memory type {} of device '{}' does not take storage buffers", label,
         type, context_->info().name);
  }
  const bool is_in_place = use != MemoryUse::kDevice || plan.device_memory_is_mapped;
  MemorySlice slice = place(needed, type, label);
  context_->check(context_->api().vkBindBufferMemory(context_->device(), handle.get(), slice.memory(), slice.offset()),
                  "vkBindBufferMemory");
  return std::make_shared<VulkanBuffer>(VulkanBuffer::Parts{.context = context_,
                                                            .reservation = std::move(reservation),
                                                            .slice = std::move(slice),
                                                            .handle = std::move(handle),
                                                            .is_in_place = is_in_place},
                                        bytes, std::move(label));
}

std::shared_ptr<VulkanBuffer> MemoryPool::allocate_file(uint64_t bytes, std::string label,
                                                        const std::string& directory) {
  constexpr auto kPointer = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  if (!context_->info().capabilities.has(Capability::kHostImport)) {
    fail(ErrorCode::kUnsupported, "buffer '{}': device '{}' does not take memory that lies in a file (host_import)",
         label, context_->info().name);
  }
  check_size(bytes, label);
  auto file = std::make_unique<ScratchFile>(directory, std::max(bytes, kPadding));
  void* const data = file->bytes().data();
  const VkExternalMemoryBufferCreateInfo external = {
      .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, .pNext = nullptr, .handleTypes = kPointer};
  BufferHandle handle = make_buffer(bytes, &external);
  VkMemoryRequirements needed;
  context_->api().vkGetBufferMemoryRequirements(context_->device(), handle.get(), &needed);
  VkMemoryHostPointerPropertiesEXT pointer = {.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
                                              .pNext = nullptr};
  const VkResult known =
      context_->api().vkGetMemoryHostPointerPropertiesEXT(context_->device(), kPointer, data, &pointer);
  // Coherent: what the host reads and writes in the file is what kernels see.
  const std::optional<uint32_t> type = find_memory_type(
      context_->plan().facts.memory, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, 0,
      known == VK_SUCCESS ? needed.memoryTypeBits & pointer.memoryTypeBits : 0);
  if (!type || needed.size > file->bytes().size()) {
    fail(ErrorCode::kUnsupported, "buffer '{}': device '{}' does not take memory that lies in a file ({})", label,
         context_->info().name, result_name(known));
  }
  const VkImportMemoryHostPointerInfoEXT import = {.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
                                                   .pNext = nullptr,
                                                   .handleType = kPointer,
                                                   .pHostPointer = data};
  const uint64_t size = file->bytes().size();
  const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = &import,
                                     .allocationSize = size,
                                     .memoryTypeIndex = *type};
  VkDeviceMemory memory = VK_NULL_HANDLE;
  const VkResult taken = context_->api().vkAllocateMemory(context_->device(), &info, nullptr, &memory);
  // A driver that pins what it imports cannot pin pages of a file; NVIDIA's says that it has no memory.
  if (taken == VK_ERROR_OUT_OF_DEVICE_MEMORY || taken == VK_ERROR_INVALID_EXTERNAL_HANDLE) {
    fail(ErrorCode::kUnsupported, "buffer '{}': device '{}' does not take memory that lies in a file ({})", label,
         context_->info().name, result_name(taken));
  }
  context_->check(taken, "vkAllocateMemory of memory in a file");
  auto block = std::make_shared<MemoryBlock>(MemoryBlock{.context = context_,
                                                         .file = std::move(file),
                                                         .memory = MemoryHandle(*context_, memory),
                                                         .mapped = static_cast<std::byte*>(data),
                                                         .ranges = RangeAllocator(size)});
  MemorySlice slice(block, block->ranges.allocate(size, 1).value(), size);
  context_->check(context_->api().vkBindBufferMemory(context_->device(), handle.get(), memory, 0),
                  "vkBindBufferMemory");
  return std::make_shared<VulkanBuffer>(VulkanBuffer::Parts{.context = context_,
                                                            .reservation = Reservation(context_, 0),
                                                            .slice = std::move(slice),
                                                            .handle = std::move(handle),
                                                            .is_in_place = true},
                                        bytes, std::move(label));
}

Reservation MemoryPool::reserve(uint64_t bytes, const std::string& label) {
  if (!context_->reserve(bytes)) {
    fail(ErrorCode::kOutOfMemory, "buffer '{}': {} do not fit in what is left of the {} of device '{}'", label,
         format_bytes(bytes), format_bytes(context_->info().limits.memory_bytes), context_->info().name);
  }
  return {context_, bytes};
}

MemorySlice MemoryPool::place(const VkMemoryRequirements& needed, uint32_t type, const std::string& label) {
  if (needed.size > kSharedBuffer) {
    std::shared_ptr<MemoryBlock> own = make_block(needed.size, type, label);
    const uint64_t offset = own->ranges.allocate(needed.size, 1).value();
    return {std::move(own), offset, needed.size};
  }
  std::erase_if(blocks_, [](const OpenBlock& open) { return open.block.expired(); });
  for (const OpenBlock& open : blocks_) {
    std::shared_ptr<MemoryBlock> block = open.block.lock();
    if (open.type != type) continue;
    const auto offset = block->ranges.allocate(needed.size, needed.alignment);
    if (offset) return {std::move(block), *offset, needed.size};
  }
  const uint64_t block_bytes = std::clamp(kSharedBlock, uint64_t{needed.size},
                                          std::max<uint64_t>(needed.size, context_->info().limits.max_allocation));
  std::shared_ptr<MemoryBlock> block = make_block(block_bytes, type, label);
  blocks_.push_back({.type = type, .block = block});
  const uint64_t offset = block->ranges.allocate(needed.size, needed.alignment).value();
  return {std::move(block), offset, needed.size};
}

std::shared_ptr<MemoryBlock> MemoryPool::make_block(uint64_t bytes, uint32_t type, const std::string& label) {
  const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = nullptr,
                                     .allocationSize = bytes,
                                     .memoryTypeIndex = type};
  VkDeviceMemory memory = VK_NULL_HANDLE;
  const VkResult result = context_->api().vkAllocateMemory(context_->device(), &info, nullptr, &memory);
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
    fail(ErrorCode::kOutOfMemory, "buffer '{}': device '{}' has no {} left", label, context_->info().name,
         format_bytes(bytes));
  }
  context_->check(result, "vkAllocateMemory");
  auto block = std::make_shared<MemoryBlock>(
      MemoryBlock{.context = context_, .memory = MemoryHandle(*context_, memory), .ranges = RangeAllocator(bytes)});
  const DevicePlan& plan = context_->plan();
  if (type == plan.host_memory_type || plan.device_memory_is_mapped) {
    void* address = nullptr;
    context_->check(context_->api().vkMapMemory(context_->device(), memory, 0, VK_WHOLE_SIZE, 0, &address),
                    "vkMapMemory");
    block->mapped = static_cast<std::byte*>(address);
  }
  return block;
}

}  // namespace nibble::vulkan
