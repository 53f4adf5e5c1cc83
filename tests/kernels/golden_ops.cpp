#include "tests/kernels/golden_ops.h"

#include <cmath>
#include <map>

namespace nibble {
namespace {

std::map<std::string, std::unique_ptr<Device>>& open_devices() {
  static std::map<std::string, std::unique_ptr<Device>> devices;
  return devices;
}

}  // namespace

void expect_close(const std::vector<float>& got, const std::vector<float>& want, double eps, std::string_view what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double squares = 0;
  for (const float value : want) squares += double{value} * value;
  const double allowed = eps * std::sqrt(squares / static_cast<double>(want.size()));
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(double{got[i]} - want[i]);
    if (!(error <= allowed)) {
      FAIL() << fmt::format("{}[{}] = {}, want {} ± {}", what, i, got[i], want[i], allowed);
    }
  }
}

std::vector<float> matmul(const std::vector<float>& x, const std::vector<float>& w, size_t in) {
  std::vector<float> y;
  for (size_t t = 0; t < x.size() / in; ++t) {
    for (size_t r = 0; r < w.size() / in; ++r) {
      double sum = 0;
      for (size_t c = 0; c < in; ++c) sum += double{x[t * in + c]} * w[r * in + c];
      y.push_back(static_cast<float>(sum));
    }
  }
  return y;
}

void GoldenOpsTest::TearDownTestSuite() { open_devices().clear(); }

Device& GoldenOpsTest::device() {
  std::unique_ptr<Device>& device = open_devices()[GetParam().label];
  if (device == nullptr) device = open_test_device(GetParam());
  return *device;
}

GoldenOpsTest::Handle GoldenOpsTest::blank(size_t words) {
  Handle buffer = device().allocate(words * 4, "out");
  device().fill(buffer, 0x7fc00000u);
  return buffer;
}

void GoldenOpsTest::run_bytes(const KernelSpec& kernel, std::vector<std::byte> params, std::vector<Binding> bindings,
                              const std::vector<uint32_t>& step) {
  DispatchList list;
  list.set_step_words(static_cast<uint32_t>(step.size()));
  list.add({.kernel = &kernel,
            .params = std::move(params),
            .bindings = std::move(bindings),
            .label = std::string(kernel.name)});
  const std::unique_ptr<Program> program = device().record(list);
  device().wait(device().submit(*program, step));
}

std::string name_of_device(const testing::TestParamInfo<TestDevice>& info) { return info.param.label; }

}  // namespace nibble
