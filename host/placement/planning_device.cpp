#include "host/placement/planning_device.h"

#include "runtime/base/error.h"
#include "runtime/core/kernel_needs.h"
#include "runtime/core/variant.h"

namespace nibble {
namespace {

class CountedBuffer final : public Buffer {
 public:
  CountedBuffer(uint64_t size, std::string label, std::shared_ptr<uint64_t> total)
      : Buffer(size, std::move(label)), total_(std::move(total)) {
    *total_ += bytes();
  }
  ~CountedBuffer() override { *total_ -= bytes(); }

 private:
  std::shared_ptr<uint64_t> total_;
};

// Keeps the buffers alive as a recorded program does.
class PlannedProgram final : public Program {
 public:
  explicit PlannedProgram(const DispatchList& list) {
    for (const Dispatch& dispatch : list.dispatches()) bindings_.push_back(dispatch.bindings);
  }
  std::vector<std::string> variants() const override { return {}; }

 private:
  std::vector<std::vector<Binding>> bindings_;
};

[[noreturn]] void fail_to_run(const char* what) { fail(ErrorCode::kInternal, "a device for planning cannot {}", what); }

}  // namespace

PlanningDevice::PlanningDevice(DeviceInfo info)
    : info_(std::move(info)),
      allocated_(std::make_shared<uint64_t>(0)),
      host_(std::make_shared<uint64_t>(0)),
      file_(std::make_shared<uint64_t>(0)),
      wrapped_(std::make_shared<uint64_t>(0)) {}

std::shared_ptr<Buffer> PlanningDevice::count(uint64_t bytes, std::string label, std::shared_ptr<uint64_t> total) {
  if (bytes > info_.limits.max_allocation) {
    fail(ErrorCode::kUnsupported, "'{}' needs {} in one piece, device '{}' allows {}", label, format_bytes(bytes),
         info_.name, format_bytes(info_.limits.max_allocation));
  }
  return std::make_shared<CountedBuffer>(bytes, std::move(label), std::move(total));
}

std::shared_ptr<Buffer> PlanningDevice::allocate(uint64_t bytes, std::string label) {
  return count(bytes, std::move(label), allocated_);
}

std::shared_ptr<Buffer> PlanningDevice::allocate_outside(uint64_t bytes, std::string label,
                                                         const std::string& directory) {
  if (directory.empty()) return count(bytes, std::move(label), host_);
  if (!info_.capabilities.has(Capability::kHostImport)) {
    fail(ErrorCode::kUnsupported, "'{}' cannot lie in a file: device '{}' has no host_import", label, info_.name);
  }
  return count(bytes, std::move(label), file_);
}

std::shared_ptr<Buffer> PlanningDevice::wrap_host(std::span<const std::byte> memory, std::shared_ptr<const void>,
                                                  std::string label) {
  check(info_.capabilities.has(Capability::kHostMemory), "'{}' wrapped for a device with its own memory", label);
  return std::make_shared<CountedBuffer>(memory.size(), std::move(label), wrapped_);
}

void PlanningDevice::upload(const BufferView& to, std::span<const std::byte> from) {
  check(from.size() <= to.bytes, "an upload of {} bytes to {}", from.size(), to.bytes);
}

void PlanningDevice::fill(const BufferView&, uint32_t) {}

std::unique_ptr<Program> PlanningDevice::record(const DispatchList& list) {
  // Kernels on the host take pointers: there is nothing to run out of.
  if (!info_.capabilities.has(Capability::kHostMemory)) {
    for (const Dispatch& dispatch : list.dispatches()) {
      const Variant& variant = pick_variant(dispatch, info_);
      require_fit(qualified_name(*dispatch.kernel, variant), needs_of(*dispatch.kernel, variant, slab_shapes(dispatch)),
                  info_);
    }
  }
  return std::make_unique<PlannedProgram>(list);
}

void PlanningDevice::download(const BufferView&, std::span<std::byte>) { fail_to_run("be read from"); }
Ticket PlanningDevice::submit(Program&, std::span<const uint32_t>) { fail_to_run("run a program"); }
void PlanningDevice::wait(Ticket) { fail_to_run("run a program"); }
std::vector<DispatchTiming> PlanningDevice::time_dispatches(Program&, std::span<const uint32_t>) {
  fail_to_run("time a program");
}

}  // namespace nibble
