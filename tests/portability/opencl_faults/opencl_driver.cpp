// An OpenCL driver with a fault, for tests: PoCL, some of whose functions are replaced in its own dispatch table. The
// loader finds it by OCL_ICD_VENDORS; NIBBLE_FAULT names the fault. Programs under test use devices from one thread.
#define CL_TARGET_OPENCL_VERSION 300

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <CL/cl.h>
#include <CL/cl_icd.h>

#include "tests/portability/opencl_faults/fault.h"

namespace nibble::opencl_faults {
namespace {

// Every object of an ICD begins with a pointer to its driver's functions.
struct Object {
  cl_icd_dispatch* functions;
};

const Fault& fault() {
  static const Fault* found = [] {
    const char* name = std::getenv("NIBBLE_FAULT");
    const Fault* known = find_fault(name == nullptr ? "" : name);
    if (known == nullptr) {
      std::fprintf(stderr, "faulty driver: NIBBLE_FAULT: unknown fault '%s'\n", name);
      std::abort();
    }
    return known;
  }();
  return *found;
}

cl_icd_dispatch& original() {
  static cl_icd_dispatch functions;
  return functions;
}

// The kernel that FaultPlace stands for was submitted and not waited for yet.
bool is_pending = false;

bool has_target(std::string_view text) { return text.find(kTarget) != std::string_view::npos; }

cl_program CL_API_CALL create_program(cl_context context, cl_uint count, const char** texts, const size_t* lengths,
                                      cl_int* status) {
  std::string source;
  for (cl_uint i = 0; i < count; ++i) {
    source += lengths != nullptr && lengths[i] > 0 ? std::string(texts[i], lengths[i]) : std::string(texts[i]);
  }
  if (has_target(source) && fault().place == Place::kBuildCrashes) std::abort();
  source = std::string(fault().text) + source;
  const char* text = source.data();
  const size_t length = source.size();
  return original().clCreateProgramWithSource(context, 1, &text, &length, status);
}

std::string source_of(cl_program program) {
  size_t bytes = 0;
  original().clGetProgramInfo(program, CL_PROGRAM_SOURCE, 0, nullptr, &bytes);
  std::string source(bytes, '\0');
  original().clGetProgramInfo(program, CL_PROGRAM_SOURCE, bytes, source.data(), nullptr);
  return source;
}

cl_int CL_API_CALL build_program(cl_program program, cl_uint count, const cl_device_id* devices, const char* options,
                                 void(CL_CALLBACK* notify)(cl_program, void*), void* data) {
  if (fault().place == Place::kBuildFails && has_target(source_of(program))) return CL_BUILD_PROGRAM_FAILURE;
  return original().clBuildProgram(program, count, devices, options, notify, data);
}

std::string name_of(cl_kernel kernel) {
  char name[256] = {};
  original().clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, nullptr);
  return name;
}

cl_int CL_API_CALL enqueue_kernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t* offset,
                                  const size_t* global, const size_t* local, cl_uint wait_count, const cl_event* waits,
                                  cl_event* event) {
  const bool is_target = has_target(name_of(kernel));
  if (is_target && fault().place == Place::kSubmitFails) return CL_OUT_OF_RESOURCES;
  is_pending |= is_target;
  if (local != nullptr && local[0] > fault().most_local) return CL_INVALID_WORK_GROUP_SIZE;
  size_t size[3] = {};
  for (cl_uint i = 0; i < dims; ++i) size[i] = global[i];
  const bool is_short = fault().place == Place::kLastWorkgroup && local != nullptr && size[0] > local[0];
  if (is_short) size[0] -= local[0];
  if (fault().place == Place::kSecondDimension && dims > 1) size[1] = local != nullptr ? local[1] : 1;
  return original().clEnqueueNDRangeKernel(queue, kernel, dims, offset, size, local, wait_count, waits, event);
}

cl_int CL_API_CALL wait_for_events(cl_uint count, const cl_event* events) {
  if (is_pending && fault().place == Place::kWaitHangs) {
    while (true) ::pause();
  }
  if (is_pending && fault().place == Place::kWaitFails) return CL_OUT_OF_RESOURCES;
  is_pending = false;
  return original().clWaitForEvents(count, events);
}

size_t shortened(size_t bytes, Place place) { return fault().place == place && bytes > 4 ? bytes - 4 : bytes; }

cl_int CL_API_CALL read_buffer(cl_command_queue queue, cl_mem buffer, cl_bool is_blocking, size_t offset, size_t bytes,
                               void* to, cl_uint wait_count, const cl_event* waits, cl_event* event) {
  return original().clEnqueueReadBuffer(queue, buffer, is_blocking, offset, shortened(bytes, Place::kRead), to,
                                        wait_count, waits, event);
}

cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem buffer, cl_bool is_blocking, size_t offset, size_t bytes,
                                const void* from, cl_uint wait_count, const cl_event* waits, cl_event* event) {
  return original().clEnqueueWriteBuffer(queue, buffer, is_blocking, offset, shortened(bytes, Place::kWrite), from,
                                         wait_count, waits, event);
}

cl_int CL_API_CALL fill_buffer(cl_command_queue queue, cl_mem buffer, const void* pattern, size_t pattern_bytes,
                               size_t offset, size_t bytes, cl_uint wait_count, const cl_event* waits,
                               cl_event* event) {
  return original().clEnqueueFillBuffer(queue, buffer, pattern, pattern_bytes, offset, shortened(bytes, Place::kFill),
                                        wait_count, waits, event);
}

cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t bytes, void* host, cl_int* status) {
  if (bytes > fault().most_bytes) {
    if (status != nullptr) *status = CL_INVALID_BUFFER_SIZE;
    return nullptr;
  }
  return original().clCreateBuffer(context, flags, bytes, host, status);
}

// The table is data of the driver's, which may be read-only.
void replace_functions(cl_icd_dispatch& functions) {
  original() = functions;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(&functions) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(&functions + 1);
  if (::mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_READ | PROT_WRITE) != 0) std::abort();
  functions.clCreateProgramWithSource = create_program;
  functions.clBuildProgram = build_program;
  functions.clEnqueueNDRangeKernel = enqueue_kernel;
  functions.clWaitForEvents = wait_for_events;
  functions.clEnqueueReadBuffer = read_buffer;
  functions.clEnqueueWriteBuffer = write_buffer;
  functions.clEnqueueFillBuffer = fill_buffer;
  functions.clCreateBuffer = create_buffer;
}

using FunctionGetter = void*(CL_API_CALL*)(const char*);

FunctionGetter driver_functions() {
  static void* driver = ::dlopen(NIBBLE_FAULTY_DRIVER, RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) std::abort();
  return reinterpret_cast<FunctionGetter>(::dlsym(driver, "clGetExtensionFunctionAddress"));
}

cl_int CL_API_CALL get_platforms(cl_uint most, cl_platform_id* platforms, cl_uint* count) {
  using Platforms = cl_int(CL_API_CALL*)(cl_uint, cl_platform_id*, cl_uint*);
  const auto list = reinterpret_cast<Platforms>(driver_functions()("clIcdGetPlatformIDsKHR"));
  const cl_int status = list(most, platforms, count);
  static bool is_replaced = false;
  if (status == CL_SUCCESS && platforms != nullptr && most > 0 && !is_replaced) {
    is_replaced = true;
    replace_functions(*reinterpret_cast<Object*>(platforms[0])->functions);
  }
  return status;
}

}  // namespace
}  // namespace nibble::opencl_faults

extern "C" __attribute__((visibility("default"))) void* CL_API_CALL clGetExtensionFunctionAddress(const char* name) {
  if (std::string_view(name) != "clIcdGetPlatformIDsKHR") return nibble::opencl_faults::driver_functions()(name);
  return reinterpret_cast<void*>(nibble::opencl_faults::get_platforms);
}

extern "C" __attribute__((visibility("default"))) cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint most,
                                                                                            cl_platform_id* platforms,
                                                                                            cl_uint* count) {
  return nibble::opencl_faults::get_platforms(most, platforms, count);
}
