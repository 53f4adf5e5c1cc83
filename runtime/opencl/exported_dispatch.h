// A dispatch as this backend runs it, as plain data: what a program of its own needs to run it the same way, without
// nibble.
#pragma once

#include <string>
#include <string_view>

#include "runtime/core/dispatch_list.h"

namespace nibble::opencl {

// Arguments in the order of the kernel's bindings, slabs one after the other, then the params by value if there are
// any. A view is a sub-buffer, the step words are a buffer of their own.
struct ExportedDispatch {
  std::string source;
  std::string entry;
  std::string build_options;
};

// `device_id` as list_devices() has it: build options depend on the driver. Throws kNotFound if there is none.
ExportedDispatch export_dispatch(const Dispatch& dispatch, const Variant& variant, std::string_view device_id);

}  // namespace nibble::opencl
