// The device interface without programs: description, memory and copies. Every backend must pass the same tests.
#include "runtime/device/device.h"

#include <algorithm>
#include <cmath>

#include "tests/device/device_fixture.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

std::vector<std::byte> random_bytes(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(1 + rng.below(255));
  return bytes;
}

TEST_P(DeviceTest, DescribesItself) {
  const DeviceInfo& info = device_->info();
  EXPECT_EQ(info.id, GetParam().device.id);
  EXPECT_FALSE(info.name.empty());
  EXPECT_GT(info.limits.max_range, 0u);
  EXPECT_GT(info.limits.max_allocation, 0u);
  EXPECT_GT(info.limits.memory_bytes, 0u);
  EXPECT_GT(info.limits.max_storage_bindings, 0u);
  EXPECT_GT(info.limits.offset_alignment, 0u);
  EXPECT_GT(info.limits.max_workgroup_size, 0u);
}

TEST_P(DeviceTest, CopiesAnySizeToAnyOffset) {
  // 9 MiB + 5 is more than two pieces of a staging ring.
  for (const size_t bytes : {size_t{1}, size_t{3}, size_t{4}, size_t{257}, size_t{65536 + 1}, (size_t{9} << 20) + 5}) {
    for (const size_t offset : {size_t{0}, size_t{1}, size_t{6}, size_t{4099}}) {
      const size_t total = offset + bytes + 7;
      const std::vector<std::byte> before = random_bytes(total, 1);
      const std::vector<std::byte> piece = random_bytes(bytes, 2);
      const std::shared_ptr<Buffer> buffer = device_->allocate(total, "copies");
      device_->upload(buffer, before);
      device_->upload(BufferView(buffer, offset, bytes), piece);

      std::vector<std::byte> want = before;
      std::copy(piece.begin(), piece.end(), want.begin() + static_cast<std::ptrdiff_t>(offset));
      std::vector<std::byte> all(total);
      device_->download(buffer, all);
      EXPECT_TRUE(all == want) << bytes << " bytes at " << offset;
      std::vector<std::byte> back(bytes);
      device_->download(BufferView(buffer, offset, bytes), back);
      EXPECT_TRUE(back == piece) << bytes << " bytes at " << offset;
    }
  }
}

TEST_P(DeviceTest, MemoryOutsideIsMemory) {
  const TempDirectory files;
  std::vector<std::string> places = {""};
  if (takes_files(*device_, files.path())) {
    places.push_back(files.path());
    expect_error([&] { device_->allocate_outside(64, "outside", files.path() + "/missing"); }, "missing");
  } else {
    expect_error([&] { device_->allocate_outside(64, "outside", files.path()); }, "outside", "in a file");
  }
  for (const std::string& place : places) {
    for (const size_t bytes : {size_t{16}, size_t{4096 + 16}, (size_t{2} << 20) + 48}) {
      const std::vector<std::byte> before = random_bytes(bytes, 4);
      const std::shared_ptr<Buffer> buffer = device_->allocate_outside(bytes, "outside", place);
      device_->upload(buffer, before);
      std::vector<std::byte> back(bytes);
      device_->download(buffer, back);
      EXPECT_TRUE(back == before) << bytes << " bytes in '" << place << "'";
      device_->fill(buffer, 0x01020304u);
      const std::vector<uint32_t> words = words_of(*device_, buffer);
      EXPECT_TRUE(std::ranges::all_of(words, [](uint32_t word) { return word == 0x01020304u; })) << bytes;
    }
  }
}

TEST_P(DeviceTest, FillsNoMoreThanTheView) {
  const std::vector<uint32_t> before = random_words(1000, 3);
  const std::shared_ptr<Buffer> buffer = buffer_of(*device_, before, "filled");
  device_->fill(BufferView(buffer, 16, 400), 0x01020304u);
  const std::vector<uint32_t> after = words_of(*device_, buffer);
  for (size_t i = 0; i < after.size(); ++i) {
    const bool inside = i >= 4 && i < 104;
    ASSERT_EQ(after[i], inside ? 0x01020304u : before[i]) << "word " << i;
  }
}

TEST_P(DeviceTest, KeepsManyBuffersApart) {
  // Small ones share memory on devices that allow few allocations; every third is dropped and its place used again.
  std::vector<std::shared_ptr<Buffer>> buffers;
  std::vector<std::vector<uint32_t>> contents;
  const auto add = [&](size_t i) {
    contents[i] = random_words(1 + 37 * (i % 50), 100 + i);
    buffers[i] = buffer_of(*device_, contents[i], "small");
  };
  buffers.resize(300);
  contents.resize(300);
  for (size_t i = 0; i < buffers.size(); ++i) add(i);
  for (size_t i = 0; i < buffers.size(); i += 3) buffers[i].reset();
  for (size_t i = 0; i < buffers.size(); i += 3) add(i);
  for (size_t i = 0; i < buffers.size(); ++i) EXPECT_EQ(words_of(*device_, buffers[i]), contents[i]) << i;
}

TEST_P(DeviceTest, RefusesMoreThanOneAllocationMayHold) {
  const std::unique_ptr<Device> device =
      open_with([](DeviceOptions& o) { o.limits.emplace_back("max_allocation=1MiB"); });
  const std::shared_ptr<Buffer> fits = device->allocate(1 << 20, "fits");
  EXPECT_EQ(fits->bytes(), 1u << 20);
  expect_error([&] { device->allocate((1 << 20) + 1, "too large"); }, "too large", "1.00 MiB");
}

TEST_P(DeviceTest, RefusesMoreThanTheMemoryItMayUse) {
  if (GetParam().device.label == "cpu") GTEST_SKIP() << "the host's memory is the operating system's to refuse";
  const std::unique_ptr<Device> device =
      open_with([](DeviceOptions& o) { o.limits.emplace_back("memory_bytes=3MiB"); });
  std::shared_ptr<Buffer> first = device->allocate(2 << 20, "first");
  expect_error([&] { device->allocate(2 << 20, "second"); }, "second", "3.00 MiB");
  first.reset();
  EXPECT_NE(device->allocate(2 << 20, "second"), nullptr);
}

TEST_P(DeviceTest, RefusesCopiesBeyondTheView) {
  const std::shared_ptr<Buffer> buffer = device_->allocate(64, "small");
  std::vector<std::byte> bytes(65);
  expect_error([&] { device_->upload(buffer, bytes); }, "small");
  expect_error([&] { device_->download(buffer, bytes); }, "small");
}

TEST_P(DeviceTest, RefusesBuffersOfAnotherDevice) {
  if (GetParam().device.label == "cpu") GTEST_SKIP() << "host memory belongs to no device in particular";
  const std::unique_ptr<Device> other = open_test_device(GetParam().device);
  const std::shared_ptr<Buffer> foreign = other->allocate(64, "foreign");
  const std::vector<std::byte> bytes(64);
  expect_error([&] { device_->upload(foreign, bytes); }, "foreign");
}

TEST_P(DeviceTest, BuffersMayOutliveTheirUseInAnyOrder) {
  std::shared_ptr<Buffer> buffer = device_->allocate(1 << 21, "dropped after the device's other buffers");
  const std::shared_ptr<Buffer> kept = buffer_of(*device_, random_words(10, 4), "kept");
  buffer.reset();
  EXPECT_EQ(words_of(*device_, kept), random_words(10, 4));
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceTest, testing::ValuesIn(device_setups()), name_of_setup);

}  // namespace
}  // namespace nibble
