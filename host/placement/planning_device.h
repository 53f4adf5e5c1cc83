// PlanningDevice: a device that only counts. It has the description and the limits of a real one, hands out buffers
// without memory and refuses what that device would refuse; uploads do nothing and programs cannot run. What runs on it
// is the code that allocates, so a plan cannot depart from it. For one thread at a time.
#pragma once

#include "runtime/device/device.h"

namespace nibble {

class PlanningDevice final : public Device {
 public:
  explicit PlanningDevice(DeviceInfo info);

  // Bytes of the buffers that are alive: taken on the device, in the host's memory, in files, and host memory that it
  // uses in place.
  uint64_t allocated_bytes() const { return *allocated_; }
  uint64_t host_bytes() const { return *host_; }
  uint64_t file_bytes() const { return *file_; }
  uint64_t wrapped_bytes() const { return *wrapped_; }

  const DeviceInfo& info() const override { return info_; }
  // Throws kUnsupported above max_allocation, as the real one does; memory may be exceeded, to say by how much.
  std::shared_ptr<Buffer> allocate(uint64_t bytes, std::string label) override;
  std::shared_ptr<Buffer> allocate_outside(uint64_t bytes, std::string label, const std::string& directory) override;
  std::shared_ptr<Buffer> wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void> keep_alive,
                                    std::string label) override;
  void upload(const BufferView& to, std::span<const std::byte> from) override;
  void fill(const BufferView& to, uint32_t word) override;
  // Checks every dispatch against the device's limits.
  std::unique_ptr<Program> record(const DispatchList& list) override;

  // Nothing can be read or run: these throw kInternal.
  void download(const BufferView& from, std::span<std::byte> to) override;
  Ticket submit(Program& program, std::span<const uint32_t> step) override;
  void wait(Ticket ticket) override;
  std::vector<DispatchTiming> time_dispatches(Program& program, std::span<const uint32_t> step) override;

 private:
  std::shared_ptr<Buffer> count(uint64_t bytes, std::string label, std::shared_ptr<uint64_t> total);

  DeviceInfo info_;
  std::shared_ptr<uint64_t> allocated_;  // shared with the buffers, which give their bytes back
  std::shared_ptr<uint64_t> host_;
  std::shared_ptr<uint64_t> file_;
  std::shared_ptr<uint64_t> wrapped_;
};

}  // namespace nibble
