#include "runtime/opencl/memory.h"

#include <algorithm>

namespace nibble::opencl {
namespace {

// Kernels read whole vectors of 16 bytes.
constexpr uint64_t kGranule = 16;

}  // namespace

ClBuffer::ClBuffer(cl_context context, std::shared_ptr<MemoryAccount> account, uint64_t bytes, std::string label,
                   MemoryUse use, const std::string& directory)
    : Buffer(bytes, std::move(label)), context_(context), account_(std::move(account)) {
  const uint64_t wanted = std::max((bytes + kGranule - 1) / kGranule * kGranule, kGranule);
  const uint64_t counted = use == MemoryUse::kDevice ? wanted : 0;
  const uint64_t before = account_->taken.fetch_add(counted);
  cl_int status = CL_MEM_OBJECT_ALLOCATION_FAILURE;
  const bool fits = before <= account_->limit && counted <= account_->limit - before;
  if (use == MemoryUse::kFile) file_.emplace(directory, wanted);
  const cl_mem_flags place = use == MemoryUse::kDevice ? 0
                             : use == MemoryUse::kHost ? CL_MEM_ALLOC_HOST_PTR
                                                       : CL_MEM_USE_HOST_PTR;
  void* const memory = file_ ? file_->bytes().data() : nullptr;
  if (fits) memory_ = Memory(clCreateBuffer(context, CL_MEM_READ_WRITE | place, wanted, memory, &status));
  if (status == CL_SUCCESS) {
    taken_ = counted;
    return;
  }
  account_->taken.fetch_sub(counted);
  if (!fits || is_out_of_memory(status)) {
    fail(ErrorCode::kOutOfMemory, "OpenCL: {} for '{}' cannot be allocated: {} of {} are taken", format_bytes(bytes),
         this->label(), format_bytes(before), format_bytes(account_->limit));
  }
  check_cl(status, "clCreateBuffer");
}

ClBuffer::~ClBuffer() { account_->taken.fetch_sub(taken_); }

ClBuffer& buffer_of(const BufferView& view) {
  auto* buffer = dynamic_cast<ClBuffer*>(view.buffer.get());
  check(buffer != nullptr, "OpenCL: buffer '{}' does not belong to an OpenCL device",
        view.buffer ? view.buffer->label() : "(none)");
  return *buffer;
}

ClBuffer& buffer_of(const BufferView& view, cl_context context) {
  ClBuffer& buffer = buffer_of(view);
  check(buffer.context() == context, "OpenCL: buffer '{}' belongs to another device", buffer.label());
  return buffer;
}

Memory make_sub_buffer(const BufferView& view, uint32_t offset_alignment) {
  const ClBuffer& buffer = buffer_of(view);
  check(view.offset % offset_alignment == 0, "OpenCL: view at byte {} of buffer '{}' is not aligned to {} bytes",
        view.offset, buffer.label(), offset_alignment);
  const cl_buffer_region region = {.origin = view.offset, .size = view.bytes};
  cl_int status = CL_SUCCESS;
  Memory sub(clCreateSubBuffer(buffer.memory(), 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &status));
  check_cl(status, "clCreateSubBuffer");
  return sub;
}

}  // namespace nibble::opencl
