#include "runtime/vulkan/vulkan_device.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/vulkan/recorder.h"

namespace nibble::vulkan {

VulkanDevice::VulkanDevice(std::shared_ptr<Context> context, DeviceOptions options)
    : context_(std::move(context)),
      options_(std::move(options)),
      memory_(context_),
      pipelines_(context_, options_.cache_dir),
      transfer_(context_, memory_) {}

std::shared_ptr<Buffer> VulkanDevice::allocate(uint64_t bytes, std::string label) {
  context_->ensure_usable();
  return memory_.allocate(bytes, std::move(label), MemoryUse::kDevice);
}

std::shared_ptr<Buffer> VulkanDevice::allocate_outside(uint64_t bytes, std::string label,
                                                       const std::string& directory) {
  context_->ensure_usable();
  if (directory.empty()) return memory_.allocate(bytes, std::move(label), MemoryUse::kOutside);
  return memory_.allocate_file(bytes, std::move(label), directory);
}

std::shared_ptr<Buffer> VulkanDevice::wrap_host(std::span<const std::byte>, std::shared_ptr<const void>,
                                                std::string label) {
  fail(ErrorCode::kUnsupported, "buffer '{}': device '{}' cannot use host memory in place", label, info().name);
}

std::shared_ptr<const VulkanBuffer> VulkanDevice::own_buffer(const BufferView& view, uint64_t bytes) const {
  auto buffer = std::dynamic_pointer_cast<const VulkanBuffer>(view.buffer);
  check(buffer != nullptr && buffer->context() == context_.get(), "buffer '{}' does not belong to device '{}'",
        view.buffer ? view.buffer->label() : "(none)", info().name);
  check(bytes <= view.bytes, "{} bytes for a view of {} bytes of buffer '{}'", bytes, view.bytes, buffer->label());
  return buffer;
}

void VulkanDevice::upload(const BufferView& to, std::span<const std::byte> from) {
  context_->ensure_usable();
  const auto buffer = own_buffer(to, from.size());
  if (!buffer->is_in_place()) return transfer_.upload(buffer, to.offset, from);
  wait_for_all();
  std::copy(from.begin(), from.end(), buffer->mapped() + to.offset);
}

void VulkanDevice::download(const BufferView& from, std::span<std::byte> to) {
  context_->ensure_usable();
  const auto buffer = own_buffer(from, to.size());
  if (!buffer->is_in_place()) return transfer_.download(buffer, from.offset, to);
  wait_for_all();
  std::copy_n(buffer->mapped() + from.offset, to.size(), to.begin());
}

void VulkanDevice::fill(const BufferView& to, uint32_t word) {
  context_->ensure_usable();
  const auto buffer = own_buffer(to, to.bytes);
  check(to.offset % 4 == 0, "fill of buffer '{}' begins at byte {}, expected a multiple of 4", buffer->label(),
        to.offset);
  if (!buffer->is_in_place()) return transfer_.fill(buffer, to.offset, to.bytes, word);
  wait_for_all();
  for (uint64_t at = 0; at < to.bytes; at += 4) {
    std::memcpy(buffer->mapped() + to.offset + at, &word, std::min<uint64_t>(4, to.bytes - at));
  }
}

std::unique_ptr<Program> VulkanDevice::record(const DispatchList& list) {
  context_->ensure_usable();
  ProgramParts parts =
      record_program({.context = context_, .memory = memory_, .pipelines = pipelines_, .options = options_}, list);
  pipelines_.save();
  return std::make_unique<VulkanProgram>(std::make_shared<RecordedProgram>(std::move(parts), options_.submit_seconds));
}

const std::shared_ptr<RecordedProgram>& VulkanDevice::own_program(Program& program) const {
  const auto* own = dynamic_cast<const VulkanProgram*>(&program);
  check(own != nullptr && own->recorded()->context() == context_.get(), "the program was recorded by another device");
  return own->recorded();
}

Ticket VulkanDevice::submit(Program& program, std::span<const uint32_t> step) {
  context_->ensure_usable();
  const std::shared_ptr<RecordedProgram>& recorded = own_program(program);
  recorded->start(step);
  // start() has waited for the program's previous replay.
  std::erase_if(running_, [&](const Running& r) { return r.program == recorded; });
  running_.push_back({.ticket = ++last_ticket_, .program = recorded});
  return last_ticket_;
}

void VulkanDevice::wait(Ticket ticket) {
  context_->ensure_usable();
  check(ticket <= last_ticket_, "ticket {} was never given, the last one is {}", ticket, last_ticket_);
  while (!running_.empty() && running_.front().ticket <= ticket) {
    running_.front().program->finish();
    running_.erase(running_.begin());
  }
}

void VulkanDevice::wait_for_all() { wait(last_ticket_); }

std::vector<DispatchTiming> VulkanDevice::time_dispatches(Program& program, std::span<const uint32_t> step) {
  context_->ensure_usable();
  const std::shared_ptr<RecordedProgram>& recorded = own_program(program);
  wait_for_all();
  return recorded->time(step);
}

}  // namespace nibble::vulkan
