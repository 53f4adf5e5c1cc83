// What record() and submit() refuse: one line that names the kernel or the buffer.
#include "tests/device/device_fixture.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

class ProgramErrorsTest : public ProgramTest {
 protected:
  // Records y = 3x + 1 over `words` words on a device opened with one limit lowered.
  static void record_affine(Device& device, size_t words) {
    DispatchList list;
    const std::shared_ptr<Buffer> x = device.allocate(words * 4, "x");
    list.add(affine(x, device.allocate(words * 4, "y"), 3, 1, "step one"));
    record(device, list);
  }
  std::unique_ptr<Device> limited(const std::string& limit) const {
    return open_with([&](DeviceOptions& o) {
      o.limits.push_back(limit);
      o.force_variant = "narrow";  // 8 wide, 32 bytes of workgroup memory
    });
  }
};

TEST_P(ProgramErrorsTest, KernelsThatNeedMoreThanTheDeviceHas) {
  record_affine(*limited("max_workgroup_size=8"), 100);
  expect_error([&] { record_affine(*limited("max_workgroup_size=7"), 100); }, "test_affine_u32");
  record_affine(*limited("max_workgroup_memory=32"), 100);
  expect_error([&] { record_affine(*limited("max_workgroup_memory=31"), 100); }, "test_affine_u32", "32", "31");
  record_affine(*limited("max_params_bytes=12"), 100);
  expect_error([&] { record_affine(*limited("max_params_bytes=11"), 100); }, "test_affine_u32", "12", "11");
  record_affine(*limited("max_storage_bindings=2"), 100);
  expect_error([&] { record_affine(*limited("max_storage_bindings=1"), 100); }, "test_affine_u32", "2", "1");
}

TEST_P(ProgramErrorsTest, ViewsLongerThanOneBindingMayBe) {
  record_affine(*limited("max_range=4KiB"), 1024);
  expect_error([&] { record_affine(*limited("max_range=4KiB"), 1025); }, "'x'", "4100");
}

TEST_P(ProgramErrorsTest, ViewsAtOffsetsThatTheDeviceCannotBind) {
  const uint64_t alignment = device_->info().limits.offset_alignment;
  if (alignment <= 1) GTEST_SKIP() << "this device binds any offset";
  const std::shared_ptr<Buffer> x = device_->allocate(8 * alignment, "crooked");
  const std::shared_ptr<Buffer> y = device_->allocate(8 * alignment, "y");
  DispatchList list;
  list.add(affine(BufferView(x, alignment / 2, 64), y, 3, 1, "step one"));
  expect_error([&] { device_->record(list); }, "crooked");
}

TEST_P(ProgramErrorsTest, ListsThatWereNotPlanned) {
  DispatchList list;
  list.add(affine(device_->allocate(400, "x"), list.temporary(400, "forgotten"), 3, 1));
  expect_error([&] { device_->record(list); }, "forgotten");
}

TEST_P(ProgramErrorsTest, BuffersAndProgramsOfAnotherDevice) {
  const std::unique_ptr<Device> other = open_test_device(GetParam().device);
  DispatchList list;
  list.add(affine(device_->allocate(400, "x"), other->allocate(400, "foreign"), 3, 1));
  expect_error([&] { device_->record(list); }, "foreign");

  DispatchList good;
  good.add(affine(other->allocate(400, "x"), other->allocate(400, "y"), 3, 1));
  const std::unique_ptr<Program> program = record(*other, good);
  expect_error([&] { device_->submit(*program, step_of(1, 0)); }, "another device");
}

TEST_P(ProgramErrorsTest, MoreStepWordsThanRecorded) {
  DispatchList list;
  list.set_step_words(kStepHeaderWords);
  list.add(affine(device_->allocate(400, "x"), device_->allocate(400, "y"), 3, 1));
  const std::unique_ptr<Program> program = record(*device_, list);
  const std::vector<uint32_t> step(kStepHeaderWords + 1);
  expect_error([&] { device_->submit(*program, step); }, "8", "9");
}

TEST_P(ProgramErrorsTest, TextsThatDoNotCompile) {
  KernelSpec broken = test_kernels::affine();
  broken.name = "test_broken_u32";
  broken.variants = {{.name = "portable", .text = "y[0] = no_such_name;\n"}};
  DispatchList list;
  Dispatch dispatch = affine(device_->allocate(400, "x"), device_->allocate(400, "y"), 3, 1);
  dispatch.kernel = &broken;
  list.add(std::move(dispatch));
  expect_error([&] { device_->record(list); }, "test_broken_u32__portable", "no_such_name");
}

INSTANTIATE_TEST_SUITE_P(Devices, ProgramErrorsTest, testing::ValuesIn(device_setups()), name_of_setup);

}  // namespace
}  // namespace nibble
