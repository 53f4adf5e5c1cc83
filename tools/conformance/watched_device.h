// WatchedDevice: runs every dispatch of a program by itself and compares what it wrote with the kernel's reference,
// from the inputs that it got in place. A model that runs on it is checked kernel by kernel, and an error does not
// spread.
#pragma once

#include <functional>

#include "runtime/device/device.h"
#include "tools/conformance/verdict.h"

namespace nibble::conformance {

struct WatchSink {
  // Before a dispatch runs; `variant` is the qualified name of what will run.
  std::function<void(const Dispatch& dispatch, const std::string& variant)> begin;
  std::function<void(CaseResult result)> end;
};

// Forwards everything else to `device`, which must live longer. One thread at a time.
class WatchedDevice final : public Device {
 public:
  WatchedDevice(Device& device, WatchSink sink) : device_(device), sink_(std::move(sink)) {}

  const DeviceInfo& info() const override { return device_.info(); }
  std::shared_ptr<Buffer> allocate(uint64_t bytes, std::string label) override {
    return device_.allocate(bytes, std::move(label));
  }
  std::shared_ptr<Buffer> allocate_outside(uint64_t bytes, std::string label, const std::string& directory) override {
    return device_.allocate_outside(bytes, std::move(label), directory);
  }
  std::shared_ptr<Buffer> wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive,
                                    std::string label) override {
    return device_.wrap_host(memory, std::move(keep_alive), std::move(label));
  }
  void upload(const BufferView& to, std::span<const std::byte> from) override { device_.upload(to, from); }
  void download(const BufferView& from, std::span<std::byte> to) override { device_.download(from, to); }
  void fill(const BufferView& to, uint32_t word) override { device_.fill(to, word); }
  std::unique_ptr<Program> record(const DispatchList& list) override;
  // Returns when all of it has run and was compared.
  Ticket submit(Program& program, std::span<const uint32_t> step) override;
  void wait(Ticket ticket) override { device_.wait(ticket); }
  // Throws kInternal: what is watched is not timed.
  std::vector<DispatchTiming> time_dispatches(Program& program, std::span<const uint32_t> step) override;

 private:
  Device& device_;
  WatchSink sink_;
};

}  // namespace nibble::conformance
