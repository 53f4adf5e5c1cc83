// Timing dispatches one by one with the device's own clock.
#include "runtime/opencl/opencl_device.h"

namespace nibble::opencl {

std::vector<DispatchTiming> OpenClDevice::time_dispatches(Program& program, std::span<const uint32_t> step) {
  check_alive();
  ClProgram& recorded = own_program(program);
  const StepHeader header = read_step_header(step);
  checked(clFinish(queue_.get()), "clFinish");
  if (!timing_queue_) {
    cl_int status = CL_SUCCESS;
    timing_queue_ = Queue(clCreateCommandQueue(context_.get(), device_, CL_QUEUE_PROFILING_ENABLE, &status));
    checked(status, "clCreateCommandQueue");
  }
  recorded.write_step(timing_queue_.get(), step);
  checked(clFinish(timing_queue_.get()), "clFinish");
  std::vector<DispatchTiming> timings;
  for (const BoundDispatch& dispatch : recorded.dispatches()) {
    const LaunchSize size = launch_size(dispatch, header);
    const double seconds = size.empty ? 0.0 : time_dispatch(timing_queue_.get(), dispatch, size);
    timings.push_back({.label = dispatch.label, .kernel = dispatch.variant, .seconds = seconds});
  }
  return timings;
}

double OpenClDevice::time_dispatch(cl_command_queue queue, const BoundDispatch& dispatch, const LaunchSize& size) {
  Event done;
  enqueue(queue, dispatch, size, done.out());
  const cl_event event = done.get();
  checked(clWaitForEvents(1, &event), "clWaitForEvents");
  cl_ulong begin = 0;
  cl_ulong end = 0;
  checked(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, nullptr),
          "clGetEventProfilingInfo");
  checked(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, nullptr),
          "clGetEventProfilingInfo");
  return static_cast<double>(end - begin) * 1e-9;
}

}  // namespace nibble::opencl
