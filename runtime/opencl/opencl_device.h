// The OpenCL device: memory, programs and submissions on one in-order queue.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/device/open_device.h"
#include "runtime/opencl/compiler.h"
#include "runtime/opencl/memory.h"
#include "runtime/opencl/platform.h"
#include "runtime/opencl/program.h"

namespace nibble::opencl {

class OpenClDevice final : public Device {
 public:
  OpenClDevice(const PlatformDevice& found, DeviceInfo info, DeviceOptions options);
  ~OpenClDevice() override;

  const DeviceInfo& info() const override { return info_; }
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

  const Compiler& compiler() const { return compiler_; }
  cl_command_queue queue() const { return queue_.get(); }

 private:
  struct Submission {
    Ticket ticket = 0;
    Event done;  // empty if nothing was enqueued
    std::chrono::steady_clock::time_point begun;
    size_t dispatches = 0;
  };

  std::shared_ptr<Buffer> allocate_in(MemoryUse use, uint64_t bytes, std::string label, const std::string& directory);
  // Throws if the device was lost earlier.
  void check_alive() const;
  // check_cl that remembers when an error loses the device.
  void checked(cl_int status, std::string_view call);
  ClProgram& own_program(Program& program) const;
  void enqueue(cl_command_queue queue, const BoundDispatch& dispatch, const LaunchSize& size, cl_event* event);
  void finish_submission(Submission submission);
  double time_dispatch(cl_command_queue queue, const BoundDispatch& dispatch, const LaunchSize& size);

  DeviceInfo info_;
  DeviceOptions options_;
  cl_device_id device_ = nullptr;
  Context context_;
  Queue queue_;
  Queue timing_queue_;  // made when first needed: profiling slows every command down
  std::shared_ptr<MemoryAccount> account_;
  Compiler compiler_;
  std::deque<Submission> in_flight_;
  Ticket last_ticket_ = 0;
  double seconds_per_dispatch_ = 0;  // of the last submission that was waited for
  std::string lost_;                 // what lost the device; empty while it is alive
};

}  // namespace nibble::opencl
