#include "runtime/opencl/opencl_device.h"

#include <algorithm>

namespace nibble::opencl {
namespace {

// Submissions whose events are kept before the oldest is waited for.
constexpr size_t kMostInFlight = 64;

Context make_context(const PlatformDevice& found) {
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                              reinterpret_cast<cl_context_properties>(found.platform), 0};
  cl_int status = CL_SUCCESS;
  Context context(clCreateContext(properties, 1, &found.device, nullptr, nullptr, &status));
  check_cl(status, "clCreateContext");
  return context;
}

Queue make_queue(cl_context context, cl_device_id device, cl_command_queue_properties properties) {
  cl_int status = CL_SUCCESS;
  Queue queue(clCreateCommandQueue(context, device, properties, &status));
  check_cl(status, "clCreateCommandQueue");
  return queue;
}

std::string identity_of(const DeviceFacts& facts) {
  return fmt::format("{} | {} | {} | {} | {}", facts.platform_name, facts.platform_version, facts.name, facts.version,
                     facts.driver_version);
}

FileCache cache_in(const std::filesystem::path& folder) {
  return folder.empty() ? FileCache() : FileCache(folder / "opencl");
}

std::shared_ptr<MemoryAccount> make_account(uint64_t limit) {
  auto account = std::make_shared<MemoryAccount>();
  account->limit = limit;
  return account;
}

}  // namespace

OpenClDevice::OpenClDevice(const PlatformDevice& found, DeviceInfo info, DeviceOptions options)
    : info_(std::move(info)),
      options_(std::move(options)),
      device_(found.device),
      context_(make_context(found)),
      queue_(make_queue(context_.get(), device_, 0)),
      account_(make_account(info_.limits.memory_bytes)),
      compiler_(context_.get(), device_, identity_of(found.facts), build_options(found.facts),
                cache_in(options_.cache_dir)) {}

OpenClDevice::~OpenClDevice() { clFinish(queue_.get()); }

void OpenClDevice::check_alive() const {
  if (!lost_.empty()) fail(ErrorCode::kDevice, "device '{}' was lost: {}", info_.id, lost_);
}

void OpenClDevice::checked(cl_int status, std::string_view call) {
  if (loses_device(status)) lost_ = fmt::format("{} gave {}", call, error_name(status));
  check_cl(status, call);
}

std::shared_ptr<Buffer> OpenClDevice::allocate(uint64_t bytes, std::string label) {
  return allocate_in(MemoryUse::kDevice, bytes, std::move(label), "");
}

std::shared_ptr<Buffer> OpenClDevice::allocate_outside(uint64_t bytes, std::string label,
                                                       const std::string& directory) {
  if (directory.empty()) return allocate_in(MemoryUse::kHost, bytes, std::move(label), "");
  if (!info_.capabilities.has(Capability::kHostImport)) {
    fail(ErrorCode::kUnsupported, "{}: '{}' cannot lie in a file without host_import", info_.id, label);
  }
  return allocate_in(MemoryUse::kFile, bytes, std::move(label), directory);
}

std::shared_ptr<Buffer> OpenClDevice::allocate_in(MemoryUse use, uint64_t bytes, std::string label,
                                                  const std::string& directory) {
  check_alive();
  if (bytes > info_.limits.max_allocation) {
    fail(ErrorCode::kOutOfMemory, "{}: {} for '{}' is above the device's limit of {} for one allocation", info_.id,
         format_bytes(bytes), label, format_bytes(info_.limits.max_allocation));
  }
  return std::make_shared<ClBuffer>(context_.get(), account_, bytes, std::move(label), use, directory);
}

std::shared_ptr<Buffer> OpenClDevice::wrap_host(std::span<const std::byte>, std::shared_ptr<const void>,
                                                std::string label) {
  fail(ErrorCode::kUnsupported, "{}: '{}' must be uploaded, the device does not work in host memory", info_.id, label);
}

void OpenClDevice::upload(const BufferView& to, std::span<const std::byte> from) {
  check_alive();
  check(from.size() <= to.bytes, "upload of {} bytes to a view of {} of buffer '{}'", from.size(), to.bytes,
        to.buffer->label());
  if (from.empty()) return;
  checked(clEnqueueWriteBuffer(queue_.get(), buffer_of(to, context_.get()).memory(), CL_TRUE, to.offset, from.size(),
                               from.data(), 0, nullptr, nullptr),
          "clEnqueueWriteBuffer");
}

void OpenClDevice::download(const BufferView& from, std::span<std::byte> to) {
  check_alive();
  check(to.size() <= from.bytes, "download of {} bytes from a view of {} of buffer '{}'", to.size(), from.bytes,
        from.buffer->label());
  if (to.empty()) return;
  checked(clEnqueueReadBuffer(queue_.get(), buffer_of(from, context_.get()).memory(), CL_TRUE, from.offset, to.size(),
                              to.data(), 0, nullptr, nullptr),
          "clEnqueueReadBuffer");
}

void OpenClDevice::fill(const BufferView& to, uint32_t word) {
  check_alive();
  check(to.offset % 4 == 0 && to.bytes % 4 == 0, "fill of {} bytes at {}, not multiples of 4", to.bytes, to.offset);
  if (to.bytes == 0) return;
  checked(clEnqueueFillBuffer(queue_.get(), buffer_of(to, context_.get()).memory(), &word, sizeof word, to.offset,
                              to.bytes, 0, nullptr, nullptr),
          "clEnqueueFillBuffer");
  checked(clFinish(queue_.get()), "clFinish");
}

std::unique_ptr<Program> OpenClDevice::record(const DispatchList& list) {
  check_alive();
  return Recorder(context_.get(), info_, options_, compiler_).record(list);
}

void OpenClDevice::enqueue(cl_command_queue queue, const BoundDispatch& dispatch, const LaunchSize& size,
                           cl_event* event) {
  const cl_int status =
      clEnqueueNDRangeKernel(queue, dispatch.kernel.get(), 3, nullptr, size.global, size.local, 0, nullptr, event);
  if (status != CL_SUCCESS) {
    checked(status, fmt::format("clEnqueueNDRangeKernel of '{}' ({})", dispatch.variant, dispatch.label));
  }
}

ClProgram& OpenClDevice::own_program(Program& program) const {
  auto* recorded = dynamic_cast<ClProgram*>(&program);
  check(recorded != nullptr && recorded->context() == context_.get(), "the program was recorded by another device");
  return *recorded;
}

Ticket OpenClDevice::submit(Program& program, std::span<const uint32_t> step) {
  check_alive();
  ClProgram& recorded = own_program(program);
  const StepHeader header = read_step_header(step);
  Submission submission;
  submission.ticket = ++last_ticket_;
  submission.begun = std::chrono::steady_clock::now();
  recorded.write_step(queue_.get(), step);
  // A batch that runs too long is killed by the system's watchdog; software drivers have none.
  const size_t batch =
      info_.is_wide_cpu() ? SIZE_MAX : dispatches_per_flush(options_.submit_seconds, seconds_per_dispatch_);
  for (const BoundDispatch& dispatch : recorded.dispatches()) {
    const LaunchSize size = launch_size(dispatch, header);
    if (size.empty) continue;
    submission.done = Event();
    enqueue(queue_.get(), dispatch, size, submission.done.out());
    if (++submission.dispatches % batch == 0) checked(clFlush(queue_.get()), "clFlush");
  }
  checked(clFlush(queue_.get()), "clFlush");
  in_flight_.push_back(std::move(submission));
  if (in_flight_.size() > kMostInFlight) wait(in_flight_.front().ticket);
  return last_ticket_;
}

void OpenClDevice::wait(Ticket ticket) {
  check_alive();
  check(ticket <= last_ticket_, "a wait for submission {}, the last was {}", ticket, last_ticket_);
  while (!in_flight_.empty() && in_flight_.front().ticket <= ticket) {
    Submission submission = std::move(in_flight_.front());
    in_flight_.pop_front();
    finish_submission(std::move(submission));
  }
}

void OpenClDevice::finish_submission(Submission submission) {
  const cl_event event = submission.done.get();
  if (event == nullptr) return;
  checked(clWaitForEvents(1, &event), "clWaitForEvents");
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - submission.begun;
  seconds_per_dispatch_ = taken.count() / static_cast<double>(submission.dispatches);
}

}  // namespace nibble::opencl
