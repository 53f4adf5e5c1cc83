#include "tests/kernels/op_runner.h"

#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "host/checkpoint/npy.h"
#include "runtime/base/error.h"
#include "tests/support/test_devices.h"

namespace nibble {
namespace {

std::map<std::string, std::unique_ptr<Device>>& open_devices() {
  static std::map<std::string, std::unique_ptr<Device>> devices;
  return devices;
}

std::string golden_path(const std::string& name) {
  return fmt::format("{}/tests/golden/ops/{}.npy", NIBBLE_SOURCE_DIR, name);
}

template <typename T>
std::vector<T> from_bytes(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace

void on_every_device(void (*check)(Device& device)) {
  for (const TestDevice& test_device : test_devices()) {
    SCOPED_TRACE(test_device.label);
    std::unique_ptr<Device>& device = open_devices()[test_device.label];
    if (device == nullptr) device = open_test_device(test_device);
    check(*device);
  }
}

void close_devices() { open_devices().clear(); }

std::vector<std::vector<std::byte>> run_operation(Device& device, const Operation& operation) {
  Dispatch dispatch{.kernel = &operation.kernel, .params = operation.params, .bindings = {}, .label = "golden"};
  std::vector<std::shared_ptr<Buffer>> buffers;
  size_t next = 0;
  for (const BindingSpec& spec : operation.kernel.bindings) {
    if (spec.kind == BindingKind::kStep) continue;
    std::vector<std::byte> content = operation.bindings.at(next++);
    content.resize((content.size() + 3) / 4 * 4);
    buffers.push_back(device.allocate(content.size(), std::string(spec.name)));
    device.upload(buffers.back(), content);
    const bool slabs = spec.kind == BindingKind::kSlabs;
    dispatch.bindings.push_back(slabs ? Binding({BufferView(buffers.back())}, 1) : Binding(buffers.back()));
  }
  DispatchList list;
  list.set_step_words(static_cast<uint32_t>(operation.step.size()));
  list.add(std::move(dispatch));
  const auto program = device.record(list);
  device.wait(device.submit(*program, operation.step));
  std::vector<std::vector<std::byte>> contents;
  for (const auto& buffer : buffers) {
    contents.emplace_back(buffer->bytes());
    device.download(buffer, contents.back());
  }
  return contents;
}

std::vector<float> floats_of(std::span<const std::byte> bytes) { return from_bytes<float>(bytes); }
std::vector<uint32_t> words_of(std::span<const std::byte> bytes) { return from_bytes<uint32_t>(bytes); }
std::vector<std::byte> unset(size_t count) { return bytes_of(std::vector<float>(count, std::nanf(""))); }

std::vector<uint32_t> step_of(uint32_t n_tokens, const std::vector<uint32_t>& extra) {
  std::vector<uint32_t> step(kStepHeaderWords);
  step[kStepTokens] = n_tokens;
  step.insert(step.end(), extra.begin(), extra.end());
  return step;
}

std::vector<float> golden_floats(const std::string& name) { return read_npy<float>(golden_path(name)).values; }
std::vector<uint8_t> golden_bytes(const std::string& name) { return read_npy<uint8_t>(golden_path(name)).values; }

std::vector<uint32_t> golden_words(const std::string& name) {
  std::vector<uint32_t> words;
  try {
    for (const int32_t value : read_npy<int32_t>(golden_path(name)).values)
      words.push_back(static_cast<uint32_t>(value));
  } catch (const Error&) {
    for (const int64_t value : read_npy<int64_t>(golden_path(name)).values)
      words.push_back(static_cast<uint32_t>(value));
  }
  return words;
}

void expect_close(const std::vector<float>& found, const std::vector<float>& want, double relative,
                  const std::string& what) {
  ASSERT_EQ(found.size(), want.size()) << what;
  double squares = 0;
  for (const float value : want) squares += double{value} * value;
  const double allowed = relative * std::sqrt(squares / static_cast<double>(want.size()));
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(double{found[i]} - want[i]);
    if (!(error <= allowed)) {
      ADD_FAILURE() << fmt::format("{}[{}] = {}, want {} ± {}", what, i, found[i], want[i], allowed);
      return;
    }
  }
}

}  // namespace nibble
