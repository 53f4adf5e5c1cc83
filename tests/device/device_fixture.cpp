#include "tests/device/device_fixture.h"

#include <algorithm>

#include "runtime/core/arena.h"

namespace nibble {

std::vector<DeviceSetup> device_setups() {
  std::vector<DeviceSetup> setups;
  for (const TestDevice& device : test_devices()) {
    setups.push_back({.label = device.label, .device = device});
    if (!open_test_device(device)->info().capabilities.has(Capability::kMappedMemory)) continue;
    setups.push_back({.label = device.label + "_staged", .device = device});
    setups.back().device.options.disabled = {Capability::kMappedMemory, Capability::kTimestamps};
  }
  return setups;
}

std::vector<uint32_t> DeviceTest::random_words(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint32_t> words(count);
  for (uint32_t& word : words) word = static_cast<uint32_t>(rng.next_u64()) | 1u;
  return words;
}

std::shared_ptr<Buffer> DeviceTest::buffer_of(Device& device, std::span<const uint32_t> words, std::string label) {
  std::shared_ptr<Buffer> buffer = device.allocate(words.size_bytes(), std::move(label));
  device.upload(buffer, std::as_bytes(words));
  return buffer;
}

std::shared_ptr<Buffer> DeviceTest::poisoned(Device& device, size_t words, std::string label) {
  std::shared_ptr<Buffer> buffer = device.allocate(words * 4, std::move(label));
  device.fill(buffer, kPoison);
  return buffer;
}

std::vector<uint32_t> DeviceTest::words_of(Device& device, const BufferView& view) {
  std::vector<uint32_t> words(view.bytes / 4);
  device.download(view, std::as_writable_bytes(std::span(words)));
  return words;
}

std::unique_ptr<Program> DeviceTest::record(Device& device, DispatchList& list) {
  list.set_step_words(std::max(list.step_words(), kStepHeaderWords));
  const DeviceLimits& limits = device.info().limits;
  plan_temporaries(list, {.max_buffer = limits.max_allocation, .alignment = std::max(limits.offset_alignment, 256u)},
                   [&](uint64_t bytes, std::string label) { return device.allocate(bytes, std::move(label)); });
  return device.record(list);
}

void DeviceTest::run(Device& device, Program& program, std::span<const uint32_t> step) {
  device.wait(device.submit(program, step));
}

void ProgramTest::SetUp() {
  if (GetParam().device.label == "cpu") GTEST_SKIP() << "the test kernels have no C++ form";
  DeviceTest::SetUp();
}

std::vector<uint32_t> step_of(uint32_t n_tokens, uint32_t position) {
  std::vector<uint32_t> step(kStepHeaderWords);
  step[kStepTokens] = n_tokens;
  step[kStepPosition] = position;
  return step;
}

Dispatch affine(const BufferView& x, const BufferView& y, uint32_t factor, uint32_t add, std::string label) {
  const auto count = static_cast<uint32_t>(std::min(x.bytes, y.bytes) / 4);
  return {.kernel = &test_kernels::affine(),
          .params = pack_params(test_kernels::AffineParams{.count = count, .factor = factor, .add = add}),
          .bindings = {x, y},
          .label = std::move(label)};
}

Dispatch accumulate(const BufferView& x, const BufferView& y, std::string label) {
  const auto count = static_cast<uint32_t>(std::min(x.bytes, y.bytes) / 4);
  return {.kernel = &test_kernels::accumulate(),
          .params = pack_params(test_kernels::AccumulateParams{.count = count}),
          .bindings = {x, y},
          .label = std::move(label)};
}

std::string name_of_setup(const testing::TestParamInfo<DeviceSetup>& info) { return info.param.label; }

}  // namespace nibble
