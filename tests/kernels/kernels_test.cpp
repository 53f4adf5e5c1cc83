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
#include "shaders/common/odd_cases.h"
#include "tests/kernels/op_runner.h"
#include "tests/support/test_devices.h"
#include "tools/conformance/case_runner.h"

namespace nibble {
namespace {

struct TestedDevice {
  std::string label;
  std::unique_ptr<conformance::CaseRunner> runner;
};

struct Settings {
  uint64_t seed = 0;
  std::vector<TestedDevice> devices;  // opened by the first test
};

Settings& settings() {
  static Settings instance;
  return instance;
}

const std::vector<TestedDevice>& tested_devices() {
  if (settings().devices.empty()) {
    for (const TestDevice& device : test_devices()) {
      settings().devices.push_back(
          {device.label, std::make_unique<conformance::CaseRunner>(device.id, device.options)});
    }
  }
  return settings().devices;
}

class KernelTest : public testing::TestWithParam<std::string> {};

TEST_P(KernelTest, MatchesItsReference) {
  const KernelSpec& kernel = find_kernel(GetParam());
  const std::vector<KernelCase> cases = spec::all_cases(kernel);
  ASSERT_FALSE(cases.empty());
  for (const auto& [label, runner] : tested_devices()) {
    const std::vector<std::string> variants = runner->variants_of(kernel);
    EXPECT_FALSE(variants.empty()) << label << " can run no variant of " << kernel.name;
    for (const std::string& variant : variants) {
      for (size_t i = 0; i < cases.size(); ++i) {
        try {
          const auto result = runner->run(kernel, variant, cases[i], {.seed = settings().seed + i});
          if (result.verdict == conformance::Verdict::kSkipped) continue;
          EXPECT_EQ(name_of(result.verdict), "pass") << label << " " << kernel.name << "__" << variant << " case '"
                                                     << cases[i].name << "': " << result.message;
        } catch (const Error& error) {
          ADD_FAILURE() << label << " " << kernel.name << "__" << variant << " case '" << cases[i].name
                        << "': " << error.what();
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
  settings().devices.clear();  // devices end before the drivers' own static objects do
  close_devices();
  return result;
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) { return nibble::run(argc, argv); }
