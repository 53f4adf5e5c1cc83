// Device memory: buffers, sub-buffers for views, and the account of what is taken.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/scratch_file.h"
#include "runtime/core/buffer.h"
#include "runtime/core/device_info.h"
#include "runtime/opencl/cl_api.h"

namespace nibble::opencl {

// Bytes taken of a device. Drivers allocate at first use and then fail where nobody can help, so limits are ours.
// Shared by the device and its buffers, which may be released later than it.
struct MemoryAccount {
  uint64_t limit = 0;
  std::atomic<uint64_t> taken = 0;
};

// Where a buffer lies.
enum class MemoryUse {
  kDevice,
  kHost,  // CL_MEM_ALLOC_HOST_PTR: in the host's memory, where the driver has such a place
  kFile,  // CL_MEM_USE_HOST_PTR over a file; a driver may keep a copy of what a kernel uses
};

class ClBuffer final : public Buffer {
 public:
  // `directory` is that of a file. Throws kOutOfMemory and what ScratchFile throws.
  ClBuffer(cl_context context, std::shared_ptr<MemoryAccount> account, uint64_t bytes, std::string label,
           MemoryUse use = MemoryUse::kDevice, const std::string& directory = "");
  ~ClBuffer() override;

  cl_mem memory() const { return memory_.get(); }
  cl_context context() const { return context_; }

 private:
  cl_context context_;
  std::shared_ptr<MemoryAccount> account_;
  uint64_t taken_ = 0;
  std::optional<ScratchFile> file_;  // goes after the memory object that lies in it
  Memory memory_;
};

// The buffer behind a view; throws kInternal if it is not one of this backend's, or not one of this context's.
ClBuffer& buffer_of(const BufferView& view);
ClBuffer& buffer_of(const BufferView& view, cl_context context);

// A sub-buffer that covers the view. Throws kInternal when its offset breaks the device's alignment.
Memory make_sub_buffer(const BufferView& view, uint32_t offset_alignment);

}  // namespace nibble::opencl
