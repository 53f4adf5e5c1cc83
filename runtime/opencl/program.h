// A dispatch list bound to an OpenCL device: one kernel object per dispatch with its arguments set once, so that a
// replay is a row of enqueues on an in-order queue (which makes barriers implicit).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/core/kernel_needs.h"
#include "runtime/core/variant.h"
#include "runtime/device/device.h"
#include "runtime/device/open_device.h"
#include "runtime/opencl/compiler.h"
#include "runtime/opencl/memory.h"

namespace nibble::opencl {

// A kernel with its arguments set, ready to be enqueued.
struct BoundDispatch {
  Kernel kernel;
  Grid grid;
  uint32_t workgroup = 0;
  std::string label;
  std::string variant;  // qualified name
};

class ClProgram final : public Program {
 public:
  ~ClProgram() override;
  std::vector<std::string> variants() const override;

  const std::vector<BoundDispatch>& dispatches() const { return dispatches_; }
  cl_context context() const { return context_; }

  // Enqueues the transfer of the step words. They wait in host memory of the program, in one of a few slots, so that
  // submissions in flight keep theirs.
  void write_step(cl_command_queue queue, std::span<const uint32_t> step);

 private:
  friend class Recorder;

  struct StepSlot {
    std::vector<uint32_t> words;
    Event written;
  };

  cl_context context_ = nullptr;
  std::vector<std::shared_ptr<Buffer>> buffers_;  // kept alive
  std::vector<Memory> sub_buffers_;
  Memory step_memory_;  // empty if no kernel reads the step words
  uint32_t step_words_ = 0;
  std::vector<StepSlot> slots_;
  size_t next_slot_ = 0;
  std::vector<BoundDispatch> dispatches_;
};

// Builds programs; lives for one record() call.
class Recorder {
 public:
  Recorder(cl_context context, const DeviceInfo& info, const DeviceOptions& options, Compiler& compiler);
  std::unique_ptr<ClProgram> record(const DispatchList& list);

 private:
  struct ViewKey {
    const Buffer* buffer;
    uint64_t offset;
    uint64_t bytes;
    auto operator<=>(const ViewKey&) const = default;
  };

  BoundDispatch bind_dispatch(const Dispatch& dispatch);
  // The built text of a kernel, whose source is assembled once for all of its dispatches.
  struct BuiltKernel {
    cl_program program = nullptr;
    KernelNeeds needs;
  };
  using BuildKey = std::tuple<const KernelSpec*, const Variant*, std::vector<SlabShape>>;

  const BuiltKernel& build(const Dispatch& dispatch, const Variant& variant);
  Kernel make_kernel(const Dispatch& dispatch, const Variant& variant);
  void set_arguments(cl_kernel kernel, const Dispatch& dispatch);
  cl_mem memory_for(const BufferView& view);
  cl_mem step_memory();

  cl_context context_;
  const DeviceInfo& info_;
  const DeviceOptions& options_;
  Compiler& compiler_;
  std::unique_ptr<ClProgram> program_;
  std::map<ViewKey, cl_mem> views_;
  std::map<BuildKey, BuiltKernel> built_;
};

// Sizes as OpenCL wants them: in work items, not workgroups.
struct LaunchSize {
  size_t global[3];
  size_t local[3];
  bool empty = false;
};
LaunchSize launch_size(const BoundDispatch& dispatch, const StepHeader& step);

// Dispatches between two flushes, so that a batch stays below `budget_seconds`; from how long one took on average when
// last measured (0 = not yet: small batches).
size_t dispatches_per_flush(double budget_seconds, double seconds_per_dispatch);

}  // namespace nibble::opencl
