#include "runtime/opencl/program.h"

#include <algorithm>
#include <set>

#include "runtime/core/hazards.h"
#include "runtime/core/kernel_needs.h"
#include "runtime/core/replay_order.h"

namespace nibble::opencl {
namespace {

// Submissions in flight before a write of step words waits for an older one.
constexpr size_t kStepSlots = 4;

// The device is named although the context has only one: Oclgrind takes no null for it.
uint64_t local_memory_of(cl_kernel kernel, cl_device_id device) {
  cl_ulong bytes = 0;
  check_cl(clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, nullptr),
           "clGetKernelWorkGroupInfo");
  return bytes;
}

}  // namespace

ClProgram::~ClProgram() {
  // The driver may still read step words from the slots.
  for (const StepSlot& slot : slots_) {
    if (const cl_event event = slot.written.get()) clWaitForEvents(1, &event);
  }
  // Last made, first released: NVIDIA's driver (580.159) crashes when the sub-buffers of one buffer go in the order in
  // which they were made.
  dispatches_.clear();
  while (!sub_buffers_.empty()) sub_buffers_.pop_back();
}

std::vector<std::string> ClProgram::variants() const {
  std::set<std::string> names;
  for (const BoundDispatch& dispatch : dispatches_) names.insert(dispatch.variant);
  return {names.begin(), names.end()};
}

void ClProgram::write_step(cl_command_queue queue, std::span<const uint32_t> step) {
  check(step.size() <= step_words_, "a step of {} words for a program of {}", step.size(), step_words_);
  if (!step_memory_ || step.empty()) return;
  StepSlot& slot = slots_[next_slot_];
  next_slot_ = (next_slot_ + 1) % slots_.size();
  if (const cl_event event = slot.written.get()) check_cl(clWaitForEvents(1, &event), "clWaitForEvents");
  slot.written = Event();
  std::copy(step.begin(), step.end(), slot.words.begin());
  check_cl(clEnqueueWriteBuffer(queue, step_memory_.get(), CL_FALSE, 0, step.size_bytes(), slot.words.data(), 0,
                                nullptr, slot.written.out()),
           "clEnqueueWriteBuffer");
}

Recorder::Recorder(cl_context context, const DeviceInfo& info, const DeviceOptions& options, Compiler& compiler)
    : context_(context), info_(info), options_(options), compiler_(compiler) {}

std::unique_ptr<ClProgram> Recorder::record(const DispatchList& list) {
  program_ = std::make_unique<ClProgram>();
  program_->context_ = context_;
  program_->step_words_ = list.step_words();
  const std::vector<bool> barriers = barriers_before(list);
  const std::vector<ReplayStep> order =
      options_.shuffle_spans ? shuffled_replay_order(barriers, options_.shuffle_seed) : replay_order(barriers);
  for (const ReplayStep& step : order) {
    if (options_.between_kernels) options_.between_kernels();
    program_->dispatches_.push_back(bind_dispatch(list.dispatches()[step.dispatch]));
  }
  return std::move(program_);
}

BoundDispatch Recorder::bind_dispatch(const Dispatch& dispatch) {
  const Variant& variant = pick_variant(dispatch, info_, options_.force_variant);
  BoundDispatch recorded;
  recorded.kernel = make_kernel(dispatch, variant);
  recorded.grid = dispatch.kernel->grid(dispatch.params, variant);
  recorded.workgroup = variant.workgroup;
  recorded.label = dispatch.label;
  recorded.variant = qualified_name(*dispatch.kernel, variant);
  set_arguments(recorded.kernel.get(), dispatch);
  return recorded;
}

const Recorder::BuiltKernel& Recorder::build(const Dispatch& dispatch, const Variant& variant) {
  BuildKey key(dispatch.kernel, &variant, slab_shapes(dispatch));
  const auto known = built_.find(key);
  if (known != built_.end()) return known->second;
  const std::string who = qualified_name(*dispatch.kernel, variant);
  const std::vector<SlabShape>& slabs = std::get<2>(key);
  BuiltKernel built{.needs = needs_of(*dispatch.kernel, variant, slabs)};
  require_fit(who, built.needs, info_);
  built.program = compiler_.build(assemble_source(*dispatch.kernel, variant, slabs, Dialect::kOpenCl), who);
  return built_.emplace(std::move(key), std::move(built)).first->second;
}

Kernel Recorder::make_kernel(const Dispatch& dispatch, const Variant& variant) {
  const BuiltKernel& built = build(dispatch, variant);
  const std::string who = qualified_name(*dispatch.kernel, variant);
  const std::string entry(dispatch.kernel->name);
  cl_int status = CL_SUCCESS;
  Kernel kernel(clCreateKernel(built.program, entry.c_str(), &status));
  if (status != CL_SUCCESS)
    fail(ErrorCode::kDevice, "OpenCL: clCreateKernel for '{}' gave {}", who, error_name(status));
  KernelNeeds needs = built.needs;
  needs.workgroup_memory = local_memory_of(kernel.get(), compiler_.device());
  require_fit(who, needs, info_);
  return kernel;
}

void Recorder::set_arguments(cl_kernel kernel, const Dispatch& dispatch) {
  cl_uint next = 0;
  const auto set = [&](size_t bytes, const void* value) {
    const cl_int status = clSetKernelArg(kernel, next, bytes, value);
    if (status != CL_SUCCESS) {
      fail(ErrorCode::kDevice, "OpenCL: clSetKernelArg {} of '{}' ({}) gave {}", next, dispatch.kernel->name,
           dispatch.label, error_name(status));
    }
    ++next;
  };
  size_t binding = 0;
  for (const BindingSpec& spec : dispatch.kernel->bindings) {
    if (spec.kind == BindingKind::kStep) {
      const cl_mem memory = step_memory();
      set(sizeof memory, &memory);
      continue;
    }
    for (const BufferView& view : dispatch.bindings[binding++].views) {
      const cl_mem memory = memory_for(view);
      set(sizeof memory, &memory);
    }
  }
  if (!dispatch.params.empty()) set(dispatch.params.size(), dispatch.params.data());
}

// Whole buffers stand for themselves. Other views get a sub-buffer each even at offset 0: a kernel that reads a buffer
// while it writes a sub-buffer of it is undefined, two sub-buffers that do not overlap are fine.
cl_mem Recorder::memory_for(const BufferView& view) {
  check(view.bytes <= info_.limits.max_range, "OpenCL: a view of {} bytes of buffer '{}' is above the limit of {}",
        view.bytes, view.buffer->label(), info_.limits.max_range);
  const ClBuffer& buffer = buffer_of(view, context_);
  const ViewKey key = {.buffer = &buffer, .offset = view.offset, .bytes = view.bytes};
  const auto known = views_.find(key);
  if (known != views_.end()) return known->second;
  program_->buffers_.push_back(view.buffer);
  cl_mem memory = buffer.memory();
  if (view.bytes != buffer.bytes()) {
    program_->sub_buffers_.push_back(make_sub_buffer(view, info_.limits.offset_alignment));
    memory = program_->sub_buffers_.back().get();
  }
  return views_[key] = memory;
}

cl_mem Recorder::step_memory() {
  if (!program_->step_memory_) {
    check(program_->step_words_ > 0, "a kernel reads step words but the list has none");
    cl_int status = CL_SUCCESS;
    program_->step_memory_ =
        Memory(clCreateBuffer(context_, CL_MEM_READ_ONLY, program_->step_words_ * sizeof(uint32_t), nullptr, &status));
    check_cl(status, "clCreateBuffer");
    program_->slots_.resize(kStepSlots);
    for (ClProgram::StepSlot& slot : program_->slots_) slot.words.resize(program_->step_words_);
  }
  return program_->step_memory_.get();
}

LaunchSize launch_size(const BoundDispatch& dispatch, const StepHeader& step) {
  const size_t x = dispatch.grid.x.evaluate(step);
  const size_t y = dispatch.grid.y.evaluate(step);
  const size_t z = dispatch.grid.z.evaluate(step);
  return {.global = {x * dispatch.workgroup, y, z},
          .local = {dispatch.workgroup, 1, 1},
          .empty = x == 0 || y == 0 || z == 0};
}

size_t dispatches_per_flush(double budget_seconds, double seconds_per_dispatch) {
  constexpr size_t kUnmeasured = 16;
  constexpr double kMost = 4096;
  if (!(seconds_per_dispatch > 0)) return kUnmeasured;
  // Half the budget: dispatches are not equally long.
  return static_cast<size_t>(std::clamp(0.5 * budget_seconds / seconds_per_dispatch, 1.0, kMost));
}

}  // namespace nibble::opencl
