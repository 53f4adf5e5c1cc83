// @HEAD@

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

namespace {

// @CHECKS@

// One argument: a view of a buffer, with guard bytes before and after it, which the kernel gets as a sub-buffer.
struct Part {
  const char* name;
  const char* before;  // file: the whole buffer before the dispatch
  uint64_t offset;     // of the view
  uint64_t bytes;      // of the view
  bool is_whole;       // the view is the buffer, which is read only
  Check check;
  const char* expected;  // file, or ""
  const char* allowed;   // file, or ""
};

// @CASE@

// ---- end of the case ----------------------------------------------------------------------------------------------

// @BASICS@

void check(cl_int status, const char* call) {
  if (status != CL_SUCCESS) fail(std::string(call) + " gave " + std::to_string(status));
}

// ---- device -------------------------------------------------------------------------------------------------------

std::string name_of(cl_device_id device) {
  size_t size = 0;
  clGetDeviceInfo(device, CL_DEVICE_NAME, 0, nullptr, &size);
  std::string name(size, '\0');
  clGetDeviceInfo(device, CL_DEVICE_NAME, size, &name[0], nullptr);
  return name.c_str();
}

std::vector<cl_device_id> all_devices() {
  cl_uint platform_count = 0;
  clGetPlatformIDs(0, nullptr, &platform_count);
  std::vector<cl_platform_id> platforms(platform_count);
  clGetPlatformIDs(platform_count, platforms.data(), nullptr);
  std::vector<cl_device_id> all;
  for (const cl_platform_id platform : platforms) {
    cl_uint count = 0;
    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);
    std::vector<cl_device_id> devices(count);
    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr);
    all.insert(all.end(), devices.begin(), devices.end());
  }
  return all;
}

cl_device_id pick_device(const char* wanted) {
  const std::vector<cl_device_id> devices = all_devices();
  std::vector<std::string> names;
  for (const cl_device_id device : devices) names.push_back(name_of(device));
  return devices[choose_device(names, wanted)];
}

// ---- kernel and buffers -------------------------------------------------------------------------------------------

cl_kernel build_kernel(cl_context context, cl_device_id device) {
  const Bytes source = load("kernel.cl");
  const char* text = reinterpret_cast<const char*>(source.data());
  const size_t size = source.size();
  cl_int status = CL_SUCCESS;
  const cl_program program = clCreateProgramWithSource(context, 1, &text, &size, &status);
  check(status, "clCreateProgramWithSource");
  status = clBuildProgram(program, 1, &device, kBuildOptions, nullptr, nullptr);
  if (status != CL_SUCCESS) {
    size_t length = 0;
    clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &length);
    std::string log(length, '\0');
    clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, length, &log[0], nullptr);
    std::printf("%s\n", log.c_str());
  }
  check(status, "clBuildProgram");
  const cl_kernel kernel = clCreateKernel(program, kEntry, &status);
  check(status, "clCreateKernel");
  return kernel;
}

cl_mem make_buffer(cl_context context, const Part& part, uint64_t bytes) {
  const cl_mem_flags flags = part.is_whole ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE;
  const size_t padded = (bytes + 15) / 16 * 16;  // kernels read whole vectors of 16 bytes
  cl_int status = CL_SUCCESS;
  const cl_mem buffer = clCreateBuffer(context, flags, part.is_whole ? bytes : padded, nullptr, &status);
  check(status, "clCreateBuffer");
  return buffer;
}

void set_arguments(cl_kernel kernel, const std::vector<cl_mem>& buffers) {
  cl_uint next = 0;
  for (; next < buffers.size(); ++next) {
    const Part& part = kParts[next];
    cl_mem memory = buffers[next];
    if (!part.is_whole) {
      const cl_buffer_region region = {part.offset, part.bytes};
      cl_int status = CL_SUCCESS;
      memory = clCreateSubBuffer(memory, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &status);
      check(status, "clCreateSubBuffer");
    }
    check(clSetKernelArg(kernel, next, sizeof memory, &memory), "clSetKernelArg");
  }
  if (!kParams.empty()) check(clSetKernelArg(kernel, next, kParams.size() * 4, kParams.data()), "clSetKernelArg");
}

// @COMPARE@

}  // namespace

int main(int argc, char** argv) {
  watch();
  const cl_device_id device = pick_device(argc > 1 ? argv[1] : nullptr);
  cl_int status = CL_SUCCESS;
  const cl_context context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, &status);
  check(status, "clCreateContext");
  const cl_command_queue queue = clCreateCommandQueue(context, device, 0, &status);
  check(status, "clCreateCommandQueue");
  std::vector<Bytes> before;
  std::vector<cl_mem> buffers;
  for (const Part& part : kParts) {
    before.push_back(load(part.before));
    buffers.push_back(make_buffer(context, part, before.back().size()));
  }
  const cl_kernel kernel = build_kernel(context, device);
  set_arguments(kernel, buffers);

  const size_t global[3] = {kGrid[0] * kWorkgroup, kGrid[1], kGrid[2]};
  const size_t local[3] = {kWorkgroup, 1, 1};
  std::vector<Bytes> first;
  for (uint32_t run = 0; run < kRuns; ++run) {
    for (size_t i = 0; i < buffers.size(); ++i) {
      check(
          clEnqueueWriteBuffer(queue, buffers[i], CL_TRUE, 0, before[i].size(), before[i].data(), 0, nullptr, nullptr),
          "clEnqueueWriteBuffer");
    }
    if (kGrid[0] * kGrid[1] * kGrid[2] > 0) {
      check(clEnqueueNDRangeKernel(queue, kernel, 3, nullptr, global, local, 0, nullptr, nullptr),
            "clEnqueueNDRangeKernel");
    }
    check(clFinish(queue), "clFinish");
    std::vector<Bytes> found = before;
    for (size_t i = 0; i < buffers.size(); ++i) {
      check(clEnqueueReadBuffer(queue, buffers[i], CL_TRUE, 0, found[i].size(), found[i].data(), 0, nullptr, nullptr),
            "clEnqueueReadBuffer");
    }
    if (run == 0) first = found;
    require_right(before, found, first);
  }
  pass();
}
