#include "runtime/opencl/clblast_gemm.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/device/backend.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

std::vector<float> random_matrix(size_t elements, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(elements);
  for (float& v : values) v = static_cast<float>(rng.normal());
  return values;
}

std::unique_ptr<Device> open_first() {
  try {
    return opencl_backend().open(0, {});
  } catch (const Error&) {
    return nullptr;
  }
}

BufferView upload(Device& device, const std::vector<float>& values) {
  const auto buffer = device.allocate(values.size() * sizeof(float), "matrix");
  device.upload(buffer, std::as_bytes(std::span(values)));
  return buffer;
}

void expect_product(Device& device, uint32_t m, uint32_t n, uint32_t k, bool b_transposed) {
  const std::vector<float> a = random_matrix(size_t{m} * k, 1);
  const std::vector<float> b = random_matrix(size_t{k} * n, 2);
  const auto c_buffer = device.allocate(uint64_t{m} * n * sizeof(float), "c");
  device.fill(c_buffer, 0x7fc00000u);  // NaN
  opencl::run_clblast_gemm(device, {.m = m,
                                    .n = n,
                                    .k = k,
                                    .b_transposed = b_transposed,
                                    .a = upload(device, a),
                                    .b = upload(device, b),
                                    .c = c_buffer});
  std::vector<float> c(size_t{m} * n);
  device.download(c_buffer, std::as_writable_bytes(std::span(c)));
  for (uint32_t row = 0; row < m; ++row) {
    for (uint32_t col = 0; col < n; ++col) {
      double want = 0;
      double scale = 0;
      for (uint32_t i = 0; i < k; ++i) {
        const double term = double{a[row * k + i]} * double{b_transposed ? b[col * k + i] : b[i * n + col]};
        want += term;
        scale += std::fabs(term);
      }
      // A sum of k products in f32, in any order: at most k roundings of the sum of magnitudes.
      const double tolerance = scale * k * 0x1p-24;
      const double error = std::fabs(c[row * n + col] - want);
      ASSERT_TRUE(error <= tolerance) << "c[" << row << ", " << col << "] = " << c[row * n + col] << ", want " << want;
    }
  }
}

TEST(ClblastGemm, MultipliesRowMajorMatrices) {
  const auto device = open_first();
  if (device == nullptr) GTEST_SKIP() << "no OpenCL device";
  expect_product(*device, 33, 17, 70, false);
  expect_product(*device, 5, 64, 31, true);
}

TEST(ClblastGemm, RefusesViewsThatAreTooSmall) {
  const auto device = open_first();
  if (device == nullptr) GTEST_SKIP() << "no OpenCL device";
  const BufferView small = device->allocate(16, "small");
  expect_error([&] { opencl::run_clblast_gemm(*device, {.m = 4, .n = 4, .k = 4, .a = small, .b = small, .c = small}); },
               "matrix a", "needed are 64");
}

TEST(ClblastGemm, RefusesOtherBackends) {
  const auto cpu = cpu_backend().open(0, {});
  expect_error([&] { opencl::run_clblast_gemm(*cpu, {}); }, "OpenCL devices only");
}

}  // namespace
}  // namespace nibble
