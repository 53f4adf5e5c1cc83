// The OpenCL C API as this backend uses it: owning handles and errors with names.
#pragma once

#include <string_view>
#include <utility>

// The build sets this for the backend itself; tests reach the header without it.
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 300
#endif
#include <CL/cl.h>

#include "runtime/base/error.h"

namespace nibble::opencl {

// Owns one reference to an OpenCL object.
template <typename T, cl_int (*Release)(T)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T raw) : raw_(raw) {}
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Handle() {
    if (raw_ != nullptr) Release(raw_);
  }

  T get() const { return raw_; }
  // For calls that return an object through a pointer; the handle must be empty.
  T* out() { return &raw_; }
  explicit operator bool() const { return raw_ != nullptr; }

 private:
  T raw_ = nullptr;
};

using Context = Handle<cl_context, clReleaseContext>;
using Queue = Handle<cl_command_queue, clReleaseCommandQueue>;
using Memory = Handle<cl_mem, clReleaseMemObject>;
using ProgramHandle = Handle<cl_program, clReleaseProgram>;
using Kernel = Handle<cl_kernel, clReleaseKernel>;
using Event = Handle<cl_event, clReleaseEvent>;

// "CL_OUT_OF_RESOURCES"; "unknown OpenCL error" for codes that the standard does not name.
std::string_view error_name(cl_int status);

// After such an error nothing on the context can be relied on.
bool loses_device(cl_int status);

// Too little memory, said by a call that allocates.
bool is_out_of_memory(cl_int status);

// Throws Error(kDevice) with the call and the error's name unless `status` is CL_SUCCESS.
void check_cl(cl_int status, std::string_view call);

}  // namespace nibble::opencl
