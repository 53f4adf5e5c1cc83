// VulkanDevice: the Device interface over one queue of one Vulkan device.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/open_device.h"
#include "runtime/vulkan/program.h"
#include "runtime/vulkan/transfer.h"

namespace nibble::vulkan {

class VulkanProgram final : public Program {
 public:
  explicit VulkanProgram(std::shared_ptr<RecordedProgram> recorded) : recorded_(std::move(recorded)) {}
  std::vector<std::string> variants() const override { return recorded_->variants(); }
  const std::shared_ptr<RecordedProgram>& recorded() const { return recorded_; }

 private:
  std::shared_ptr<RecordedProgram> recorded_;
};

class VulkanDevice final : public Device {
 public:
  VulkanDevice(std::shared_ptr<Context> context, DeviceOptions options);

  const DeviceInfo& info() const override { return context_->info(); }
  std::shared_ptr<Buffer> allocate(uint64_t bytes, std::string label) override;
  std::shared_ptr<Buffer> allocate_outside(uint64_t bytes, std::string label, const std::string& directory) override;
  std::shared_ptr<Buffer> wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive,
                                    std::string label) override;
  void upload(const BufferView& to, std::span<const std::byte> from) override;
  void download(const BufferView& from, std::span<std::byte> to) override;
  void fill(const BufferView& to, uint32_t word) override;
  std::unique_ptr<Program> record(const DispatchList& list) override;
  Ticket submit(Program& program, std::span<const uint32_t> step) override;
  void wait(Ticket ticket) override;
  std::vector<DispatchTiming> time_dispatches(Program& program, std::span<const uint32_t> step) override;

 private:
  struct Running {
    Ticket ticket = 0;
    std::shared_ptr<RecordedProgram> program;
  };
  const std::shared_ptr<RecordedProgram>& own_program(Program& program) const;
  std::shared_ptr<const VulkanBuffer> own_buffer(const BufferView& view, uint64_t bytes) const;
  void wait_for_all();

  std::shared_ptr<Context> context_;
  DeviceOptions options_;
  MemoryPool memory_;
  PipelineLibrary pipelines_;
  Transfer transfer_;
  Ticket last_ticket_ = 0;
  std::vector<Running> running_;  // in order of their tickets
};

}  // namespace nibble::vulkan
