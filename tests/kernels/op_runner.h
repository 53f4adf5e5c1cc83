// Single operations on a device with data from the host: what the golden tests of operations are written with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/kernel_table.h"
#include "runtime/device/device.h"

namespace nibble {

// Calls check(device) for every test device, named in the trace of its failures. Devices stay open between calls.
void on_every_device(void (*check)(Device& device));
// Closes them; before main() returns.
void close_devices();

// One dispatch of `kernel`. `bindings` are the contents in the order of the spec without the kStep one, outputs
// included (their initial content, which gives the size); a slab binding is one slab of one item. Returns the content
// of binding `output` afterwards.
struct Operation {
  const KernelSpec& kernel;
  std::vector<std::byte> params;
  std::vector<uint32_t> step;
  std::vector<std::vector<std::byte>> bindings;
};
std::vector<std::vector<std::byte>> run_operation(Device& device, const Operation& operation);

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}
std::vector<float> floats_of(std::span<const std::byte> bytes);
std::vector<uint32_t> words_of(std::span<const std::byte> bytes);
// `count` floats of NaN: where an output goes.
std::vector<std::byte> unset(size_t count);
std::vector<uint32_t> step_of(uint32_t n_tokens, const std::vector<uint32_t>& extra = {});

// The file tests/golden/ops/<name>.npy.
std::vector<float> golden_floats(const std::string& name);
std::vector<uint8_t> golden_bytes(const std::string& name);
std::vector<uint32_t> golden_words(const std::string& name);  // from int32 or int64

// Fails at the first element further off than `relative` times the RMS of `want`; 0 means equal (−0 equals +0).
void expect_close(const std::vector<float>& found, const std::vector<float>& want, double relative,
                  const std::string& what);

}  // namespace nibble
