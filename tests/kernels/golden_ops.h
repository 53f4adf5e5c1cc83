// Known-answer vectors of single operations (tests/golden/ops), met by real dispatches on every test device.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "host/checkpoint/npy.h"
#include "runtime/core/kernel_table.h"
#include "tests/support/test_devices.h"

namespace nibble {

// The values of tests/golden/ops/<op>/<array>.npy.
template <typename T = float>
std::vector<T> golden(std::string_view op, std::string_view array) {
  return read_npy<T>(fmt::format("{}/tests/golden/ops/{}/{}.npy", NIBBLE_SOURCE_DIR, op, array)).values;
}

// Fails unless |got - want| <= eps · RMS(want) for every element. The vectors were made with f64 sums rounded to f32.
void expect_close(const std::vector<float>& got, const std::vector<float>& want, double eps, std::string_view what);

// y [rows, out] = x [rows, in]·wᵀ with f64 sums, w [out, in]: for products that are not what a test is about.
std::vector<float> matmul(const std::vector<float>& x, const std::vector<float>& w, size_t in);

// A test per device, with what it takes to run one kernel. Devices stay open for the whole suite.
class GoldenOpsTest : public testing::TestWithParam<TestDevice> {
 public:
  static void TearDownTestSuite();

 protected:
  using Handle = std::shared_ptr<Buffer>;

  Device& device();

  template <typename T>
  Handle put(const std::vector<T>& values) {
    Handle buffer = device().allocate(values.size() * sizeof(T), "in");
    device().upload(buffer, std::as_bytes(std::span(values)));
    return buffer;
  }
  // `words` words of NaN.
  Handle blank(size_t words);
  template <typename T = float>
  std::vector<T> get(const Handle& buffer) {
    std::vector<T> values(buffer->bytes() / sizeof(T));
    device().download(buffer, std::as_writable_bytes(std::span(values)));
    return values;
  }
  // A buffer as a slab binding of one slab.
  static Binding slab(const Handle& buffer) { return {{BufferView(buffer)}, 1u << 20}; }

  template <typename P>
  void run(const KernelSpec& kernel, const P& params, std::vector<Binding> bindings,
           const std::vector<uint32_t>& step) {
    run_bytes(kernel, pack_params(params), std::move(bindings), step);
  }

 private:
  void run_bytes(const KernelSpec& kernel, std::vector<std::byte> params, std::vector<Binding> bindings,
                 const std::vector<uint32_t>& step);
};

std::string name_of_device(const testing::TestParamInfo<TestDevice>& info);

}  // namespace nibble
