#include "runtime/opencl/compiler.h"

#include <optional>
#include <span>
#include <vector>

#include "runtime/base/driver_call.h"

namespace nibble::opencl {

Compiler::Compiler(cl_context context, cl_device_id device, std::string driver_identity, std::string options,
                   FileCache cache)
    : context_(context),
      device_(device),
      driver_identity_(std::move(driver_identity)),
      options_(std::move(options)),
      cache_(std::move(cache)) {}

cl_program Compiler::build(const std::string& source, std::string_view who) {
  const auto known = programs_.find(source);
  if (known != programs_.end()) return known->second.get();
  const std::string key = cache_key(source);
  ProgramHandle program = load_binary(key);
  if (program) {
    ++loaded_from_cache_;
  } else {
    program = build_source(source, who);
    ++built_from_source_;
    store_binary(key, program.get());
  }
  return programs_.emplace(source, std::move(program)).first->second.get();
}

std::string Compiler::cache_key(const std::string& source) const {
  return fmt::format("opencl program\n{}\n{}\n{}", driver_identity_, options_, source);
}

// Empty when there is no binary or the driver does not take it: then the source is built as if there were no cache.
ProgramHandle Compiler::load_binary(const std::string& key) const {
  const std::optional<std::vector<std::byte>> binary = cache_.load(key);
  if (!binary || binary->empty()) return {};
  const auto* bytes = reinterpret_cast<const unsigned char*>(binary->data());
  const size_t size = binary->size();
  cl_int binary_status = CL_SUCCESS;
  cl_int status = CL_SUCCESS;
  ProgramHandle program(clCreateProgramWithBinary(context_, 1, &device_, &size, &bytes, &binary_status, &status));
  if (status != CL_SUCCESS || binary_status != CL_SUCCESS) return {};
  if (clBuildProgram(program.get(), 1, &device_, options_.c_str(), nullptr, nullptr) != CL_SUCCESS) return {};
  return program;
}

ProgramHandle Compiler::build_source(const std::string& source, std::string_view who) const {
  const DriverCall call(fmt::format("compiling kernel {} for OpenCL", who));
  const char* text = source.data();
  const size_t size = source.size();
  cl_int status = CL_SUCCESS;
  ProgramHandle program(clCreateProgramWithSource(context_, 1, &text, &size, &status));
  check_cl(status, "clCreateProgramWithSource");
  status = clBuildProgram(program.get(), 1, &device_, options_.c_str(), nullptr, nullptr);
  if (status != CL_SUCCESS) {
    fail(ErrorCode::kDevice, "OpenCL: kernel '{}' does not build ({}): {}", who, error_name(status),
         shorten_build_log(build_log(program.get())));
  }
  return program;
}

// A driver that gives no binary costs a rebuild next time, no more.
void Compiler::store_binary(const std::string& key, cl_program program) const {
  size_t size = 0;
  if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, nullptr) != CL_SUCCESS || size == 0)
    return;
  std::vector<std::byte> binary(size);
  auto* bytes = reinterpret_cast<unsigned char*>(binary.data());
  if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, nullptr) != CL_SUCCESS) return;
  cache_.store(key, binary);
}

std::string Compiler::build_log(cl_program program) const {
  size_t size = 0;
  if (clGetProgramBuildInfo(program, device_, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size) != CL_SUCCESS) return "";
  std::string log(size, '\0');
  if (clGetProgramBuildInfo(program, device_, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr) != CL_SUCCESS) return "";
  return log;
}

std::string shorten_build_log(std::string_view log) {
  constexpr size_t kLongest = 600;
  std::string line;
  for (const char c : log) {
    if (c == '\0' || line.size() >= kLongest) break;
    const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line.empty() ? "the driver gives no log" : line;
}

}  // namespace nibble::opencl
