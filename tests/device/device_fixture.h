// What the tests of the device interface share: a device in one of several set-ups, and words in and out of it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "tests/device/test_kernels.h"
#include "tests/support/test_devices.h"

namespace nibble {

// A device and a way of using it: "lavapipe", "lavapipe_staged".
struct DeviceSetup {
  std::string label;
  TestDevice device;
};
inline std::ostream& operator<<(std::ostream& out, const DeviceSetup& setup) { return out << setup.label; }

// Every device as it is; those that map their memory also without that, so that the staging path is tested everywhere.
std::vector<DeviceSetup> device_setups();

class DeviceTest : public testing::TestWithParam<DeviceSetup> {
 protected:
  void SetUp() override { device_ = open_test_device(GetParam().device); }

  // The same device opened with other options.
  template <typename Change>
  std::unique_ptr<Device> open_with(Change&& change) const {
    TestDevice device = GetParam().device;
    change(device.options);
    return open_test_device(device);
  }

  static std::vector<uint32_t> random_words(size_t count, uint64_t seed);
  // A buffer with these words; `spare` more words follow, poisoned.
  static std::shared_ptr<Buffer> buffer_of(Device& device, std::span<const uint32_t> words, std::string label);
  // A poisoned buffer.
  static std::shared_ptr<Buffer> poisoned(Device& device, size_t words, std::string label);
  static std::vector<uint32_t> words_of(Device& device, const BufferView& view);

  // Records the list with room for a step header at least, planning its temporaries first.
  static std::unique_ptr<Program> record(Device& device, DispatchList& list);
  // One replay, waited for.
  static void run(Device& device, Program& program, std::span<const uint32_t> step);

  static constexpr uint32_t kPoison = 0xdeadbeefu;
  std::unique_ptr<Device> device_;
};

// Tests that need the inline kernels.
class ProgramTest : public DeviceTest {
 protected:
  void SetUp() override;
};

// Step words with this header and nothing else.
std::vector<uint32_t> step_of(uint32_t n_tokens, uint32_t position);

Dispatch affine(const BufferView& x, const BufferView& y, uint32_t factor, uint32_t add, std::string label = "affine");
Dispatch accumulate(const BufferView& x, const BufferView& y, std::string label = "accumulate");

std::string name_of_setup(const testing::TestParamInfo<DeviceSetup>& info);

}  // namespace nibble
