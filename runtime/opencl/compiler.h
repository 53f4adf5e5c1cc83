// From complete OpenCL C texts to programs: each text is built once per device, binaries are kept on disk.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/base/file_cache.h"
#include "runtime/opencl/cl_api.h"

namespace nibble::opencl {

class Compiler {
 public:
  // `driver_identity` names platform, device and driver with their versions: binaries are good for exactly that.
  Compiler(cl_context context, cl_device_id device, std::string driver_identity, std::string options, FileCache cache);

  // The built program; it lives as long as the compiler. Throws kDevice with the kernel's name (as `who`) and the first
  // lines of the build log.
  cl_program build(const std::string& source, std::string_view who);

  cl_device_id device() const { return device_; }
  size_t built_from_source() const { return built_from_source_; }
  size_t loaded_from_cache() const { return loaded_from_cache_; }

 private:
  std::string cache_key(const std::string& source) const;
  ProgramHandle load_binary(const std::string& key) const;
  ProgramHandle build_source(const std::string& source, std::string_view who) const;
  void store_binary(const std::string& key, cl_program program) const;
  std::string build_log(cl_program program) const;

  cl_context context_;
  cl_device_id device_;
  std::string driver_identity_;
  std::string options_;
  FileCache cache_;
  std::unordered_map<std::string, ProgramHandle> programs_;  // by source
  size_t built_from_source_ = 0;
  size_t loaded_from_cache_ = 0;
};

// The first lines of a compiler's log as one line of at most ~600 characters.
std::string shorten_build_log(std::string_view log);

}  // namespace nibble::opencl
