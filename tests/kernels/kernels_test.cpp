// Every kernel in the table x every device x every variant x every case, against the spec's reference.
// Flags: --device=LABEL (repeatable; default: every device found), --seed=N (default: a new one each run, printed).
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/base/error.h"
#include "runtime/core/kernel_table.h"
#include "tests/kernels/kernel_harness.h"
#include "tests/kernels/op_runner.h"

namespace nibble {
namespace {

struct Settings {
  uint64_t seed = 0;
  std::vector<std::unique_ptr<KernelHarness>> harnesses;  // one per device, opened by the first test
};

Settings& settings() {
  static Settings instance;
  return instance;
}

const std::vector<std::unique_ptr<KernelHarness>>& harnesses() {
  if (settings().harnesses.empty()) {
    for (const TestDevice& device : test_devices()) {
      settings().harnesses.push_back(std::make_unique<KernelHarness>(device));
    }
  }
  return settings().harnesses;
}

class KernelTest : public testing::TestWithParam<std::string> {};

TEST_P(KernelTest, MatchesItsReference) {
  const KernelSpec& kernel = find_kernel(GetParam());
  const std::vector<KernelCase> cases = kernel.cases();
  ASSERT_FALSE(cases.empty());
  for (const auto& harness : harnesses()) {
    const std::vector<std::string> variants = harness->variants_of(kernel);
    EXPECT_FALSE(variants.empty()) << harness->device_label() << " can run no variant of " << kernel.name;
    for (const std::string& variant : variants) {
      for (size_t i = 0; i < cases.size(); ++i) {
        try {
          EXPECT_EQ(harness->run_case(kernel, variant, cases[i], settings().seed + i), "");
        } catch (const Error& error) {
          ADD_FAILURE() << harness->device_label() << " " << kernel.name << "__" << variant << " case '"
                        << cases[i].name << "': " << error.what();
          break;  // what cannot be compiled for one case cannot for the others
        }
      }
    }
  }
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const KernelSpec* kernel : kernel_table()) names.emplace_back(kernel->name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Kernels, KernelTest, testing::ValuesIn(kernel_names()),
                         [](const auto& test) { return test.param; });

int run(int argc, char** argv) {
  settings().seed = std::random_device{}();
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with("--seed=")) settings().seed = std::strtoull(argv[i] + 7, nullptr, 10);
  }
  std::cout << "seed " << settings().seed << "\n";
  const int result = run_device_tests(argc, argv);
  settings().harnesses.clear();  // devices end before the drivers' own static objects do
  close_devices();
  return result;
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) { return nibble::run(argc, argv); }
