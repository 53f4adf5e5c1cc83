// A device that works until it is told to fail: for what must be right after a step that failed half-way.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/device/device.h"

namespace nibble {

class StumblingDevice final : public Device {
 public:
  explicit StumblingDevice(std::unique_ptr<Device> device) : device_(std::move(device)) {}

  // The n-th submission from now on runs, and throws.
  void fail_at(uint32_t n) { until_failure_ = n; }

  const DeviceInfo& info() const override { return device_->info(); }
  std::shared_ptr<Buffer> allocate(uint64_t bytes, std::string label) override {
    return device_->allocate(bytes, std::move(label));
  }
  std::shared_ptr<Buffer> allocate_outside(uint64_t bytes, std::string label, const std::string& directory) override {
    return device_->allocate_outside(bytes, std::move(label), directory);
  }
  std::shared_ptr<Buffer> wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive,
                                    std::string label) override {
    return device_->wrap_host(memory, std::move(keep_alive), std::move(label));
  }
  void upload(const BufferView& to, std::span<const std::byte> from) override { device_->upload(to, from); }
  void download(const BufferView& from, std::span<std::byte> to) override { device_->download(from, to); }
  void fill(const BufferView& to, uint32_t word) override { device_->fill(to, word); }
  std::unique_ptr<Program> record(const DispatchList& list) override { return device_->record(list); }
  void wait(Ticket ticket) override { device_->wait(ticket); }
  std::vector<DispatchTiming> time_dispatches(Program& program, std::span<const uint32_t> step) override {
    return device_->time_dispatches(program, step);
  }
  Ticket submit(Program& program, std::span<const uint32_t> step) override {
    const Ticket ticket = device_->submit(program, step);
    if (until_failure_ == 0 || --until_failure_ > 0) return ticket;
    device_->wait(ticket);
    fail(ErrorCode::kDevice, "the device stumbled");
  }

 private:
  std::unique_ptr<Device> device_;
  uint32_t until_failure_ = 0;
};

}  // namespace nibble
