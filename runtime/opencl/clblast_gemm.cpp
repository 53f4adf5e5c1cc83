#include "runtime/opencl/clblast_gemm.h"

#include <clblast.h>

#include "runtime/opencl/opencl_device.h"

namespace nibble::opencl {
namespace {

constexpr uint64_t kElement = sizeof(float);

void check_view(const BufferView& view, uint64_t elements, std::string_view name) {
  check(view.bytes >= elements * kElement && view.offset % kElement == 0,
        "CLBlast: matrix {} has {} bytes at {}, needed are {}", name, view.bytes, view.offset, elements * kElement);
}

}  // namespace

void run_clblast_gemm(Device& device, const ClblastGemm& gemm) {
  auto* opencl = dynamic_cast<OpenClDevice*>(&device);
  if (opencl == nullptr) fail(ErrorCode::kUnsupported, "{}: CLBlast runs on OpenCL devices only", device.info().id);
  check_view(gemm.a, uint64_t{gemm.m} * gemm.k, "a");
  check_view(gemm.b, uint64_t{gemm.k} * gemm.n, "b");
  check_view(gemm.c, uint64_t{gemm.m} * gemm.n, "c");
  cl_command_queue queue = opencl->queue();
  const auto status =
      clblast::Gemm<float>(clblast::Layout::kRowMajor, clblast::Transpose::kNo,
                           gemm.b_transposed ? clblast::Transpose::kYes : clblast::Transpose::kNo, gemm.m, gemm.n,
                           gemm.k, 1.0f, buffer_of(gemm.a).memory(), gemm.a.offset / kElement, gemm.k,
                           buffer_of(gemm.b).memory(), gemm.b.offset / kElement, gemm.b_transposed ? gemm.k : gemm.n,
                           0.0f, buffer_of(gemm.c).memory(), gemm.c.offset / kElement, gemm.n, &queue);
  if (status != clblast::StatusCode::kSuccess) {
    fail(ErrorCode::kDevice, "CLBlast: GEMM {}x{}x{} gave status {}", gemm.m, gemm.n, gemm.k, static_cast<int>(status));
  }
  check_cl(clFinish(queue), "clFinish");
}

}  // namespace nibble::opencl
