// What is specific to the OpenCL backend; what every device must do is tested in device_test.cpp.
#include "runtime/opencl/opencl_device.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/core/arena.h"
#include "runtime/device/backend.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

struct AffineParams {
  uint32_t n = 0;
  float a = 0;
};

// y[i] = a·x[i] + step[8]
KernelSpec affine_spec() {
  KernelSpec spec;
  spec.name = "affine_test";
  spec.bindings = {{.name = "x"},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep},
                   {.name = "y", .access = Access::kWrite}};
  spec.params = {{.name = "n"}, {.name = "a", .is_float = true}};
  spec.variants = {{.name = "portable",
                    .text = "uint i = WORKGROUP_X * WG + LOCAL;\n"
                            "if (i < p.n) y[i] = p.a * x[i] + to_f32(step[8]);\n",
                    .workgroup = 32}};
  spec.grid = [](std::span<const std::byte> params, const Variant& variant) {
    const uint32_t n = unpack_params<AffineParams>(params).n;
    return Grid{GridDim::constant((n + variant.workgroup - 1) / variant.workgroup), GridDim::constant(1),
                GridDim::tokens()};
  };
  return spec;
}

// y[i] = item i of a row of slabs, doubled.
KernelSpec slab_spec() {
  KernelSpec spec;
  spec.name = "slab_test";
  spec.bindings = {{.name = "w", .type = ElementType::kU32, .kind = BindingKind::kSlabs},
                   {.name = "y", .type = ElementType::kU32, .access = Access::kWrite}};
  spec.params = {{.name = "n"}};
  spec.variants = {{.name = "portable",
                    .text = "uint i = WORKGROUP_X * WG + LOCAL;\n"
                            "if (i < p.n) y[i] = 2u * W_AT(i, 1u, 0u);\n",
                    .workgroup = 16}};
  spec.grid = [](std::span<const std::byte> params, const Variant& variant) {
    const uint32_t n = unpack_params<uint32_t>(params);
    return Grid{GridDim::constant((n + variant.workgroup - 1) / variant.workgroup), GridDim::constant(1),
                GridDim::constant(1)};
  };
  return spec;
}

std::vector<float> random_floats(size_t n) {
  Rng rng(11);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.uniform(0.5, 2.0));
  return values;
}

class OpenClDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      infos_ = opencl_backend().list({});
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    if (infos_.empty() || infos_[0].type == DeviceType::kNull) GTEST_SKIP() << "no OpenCL device that can be used";
  }

  static std::unique_ptr<opencl::OpenClDevice> open(const DeviceOptions& options) {
    std::unique_ptr<Device> device = opencl_backend().open(0, options);
    return std::unique_ptr<opencl::OpenClDevice>(dynamic_cast<opencl::OpenClDevice*>(device.release()));
  }

  static Dispatch affine(BufferView x, BufferView y, uint32_t n, float a) {
    static const KernelSpec kSpec = affine_spec();
    return {.kernel = &kSpec,
            .params = pack_params(AffineParams{n, a}),
            .bindings = {Binding(std::move(x)), Binding(std::move(y))},
            .label = "affine"};
  }

  // Runs y = a·x + 3 on `device` and returns y.
  static std::vector<float> run_affine(Device& device, const std::vector<float>& x, float a) {
    const auto bytes = x.size() * sizeof(float);
    const auto n = static_cast<uint32_t>(x.size());
    const auto in = device.allocate(bytes, "x");
    const auto out = device.allocate(bytes, "y");
    device.upload(in, std::as_bytes(std::span(x)));
    device.fill(out, 0x7fc00000u);  // NaN
    DispatchList list;
    list.set_step_words(kStepHeaderWords + 1);
    list.add(affine(in, out, n, a));
    const auto program = device.record(list);
    const std::vector<uint32_t> step = {1, 0, 0, 0, 0, 0, 0, 0, 3};
    device.wait(device.submit(*program, step));
    std::vector<float> y(x.size());
    device.download(out, std::as_writable_bytes(std::span(y)));
    return y;
  }

  static void expect_affine(const std::vector<float>& x, const std::vector<float>& y, float a) {
    for (size_t i = 0; i < x.size(); ++i) {
      // A product and a sum, each rounded once: exact, since contraction is off.
      volatile float product = a * x[i];
      ASSERT_EQ(y[i], product + 3.0f) << "element " << i;
    }
  }

  std::vector<DeviceInfo> infos_;
};

TEST_F(OpenClDeviceTest, DescribesTheDevice) {
  const DeviceInfo& info = infos_[0];
  EXPECT_EQ(info.id, "opencl:0");
  EXPECT_FALSE(info.name.empty());
  EXPECT_TRUE(info.api_version.starts_with("OpenCL "));
  EXPECT_GT(info.limits.max_allocation, 0u);
  EXPECT_LE(info.limits.max_allocation, info.limits.memory_bytes);
  EXPECT_GE(info.limits.max_storage_bindings, 16u);
  EXPECT_GE(info.limits.max_workgroup_size, 1u);
}

TEST_F(OpenClDeviceTest, ReplaysARecordedProgram) {
  const auto device = open({});
  const std::vector<float> x = random_floats(101);
  expect_affine(x, run_affine(*device, x, 1.7f), 1.7f);
}

TEST_F(OpenClDeviceTest, ReplaysSeeTheirOwnStepWords) {
  const auto device = open({});
  const std::vector<float> x = random_floats(33);
  const uint64_t bytes = x.size() * sizeof(float);
  const auto in = device->allocate(bytes, "x");
  const auto out = device->allocate(bytes, "y");
  device->upload(in, std::as_bytes(std::span(x)));
  DispatchList list;
  list.set_step_words(kStepHeaderWords + 1);
  list.add(affine(in, out, 33, 1.0f));
  const auto program = device->record(list);
  std::vector<float> y(x.size());
  // More submissions in flight than there are slots for step words; zero tokens in the last one skip the dispatch.
  for (uint32_t i = 1; i <= 9; ++i) {
    const std::vector<uint32_t> step = {i == 9 ? 0u : 1u, 0, 0, 0, 0, 0, 0, 0, i};
    device->submit(*program, step);
  }
  device->download(out, std::as_writable_bytes(std::span(y)));
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], x[i] + 8.0f) << "element " << i;
}

TEST_F(OpenClDeviceTest, ViewsBecomeSubBuffers) {
  const auto device = open({});
  const uint64_t align = device->info().limits.offset_alignment;
  const uint32_t n = 19;
  const std::vector<float> x = random_floats(n);
  const auto arena = device->allocate(4 * align + 4096, "arena");
  const BufferView in(arena, 0, n * sizeof(float));
  const BufferView out(arena, (n * sizeof(float) + align - 1) / align * align, n * sizeof(float));
  device->fill(arena, 0x7fc00000u);
  device->upload(in, std::as_bytes(std::span(x)));
  DispatchList list;
  list.set_step_words(kStepHeaderWords + 1);
  list.add(affine(in, out, n, 2.0f));
  const auto program = device->record(list);
  const std::vector<uint32_t> step = {1, 0, 0, 0, 0, 0, 0, 0, 3};
  device->wait(device->submit(*program, step));
  std::vector<float> y(n);
  device->download(out, std::as_writable_bytes(std::span(y)));
  expect_affine(x, y, 2.0f);
  std::vector<uint32_t> after(1);
  device->download(BufferView(arena, out.offset + out.bytes, 4), std::as_writable_bytes(std::span(after)));
  EXPECT_EQ(after[0], 0x7fc00000u) << "written past the view";

  DispatchList misaligned;
  misaligned.set_step_words(kStepHeaderWords + 1);
  misaligned.add(affine(in, BufferView(arena, out.offset + 4, n * sizeof(float)), n, 2.0f));
  expect_error([&] { device->record(misaligned); }, "aligned");
}

TEST_F(OpenClDeviceTest, ReadsSlabsAsOneArray) {
  static const KernelSpec kSpec = slab_spec();
  const auto device = open({});
  const uint32_t n = 37;
  const uint32_t per_slab = 10;
  std::vector<BufferView> slabs;
  for (uint32_t first = 0; first < n; first += per_slab) {
    std::vector<uint32_t> words(std::min(per_slab, n - first));
    std::iota(words.begin(), words.end(), first + 1000);
    slabs.emplace_back(device->allocate(words.size() * 4, "slab"));
    device->upload(slabs.back(), std::as_bytes(std::span(words)));
  }
  const auto out = device->allocate(n * 4, "y");
  device->fill(out, 0xffffffffu);
  DispatchList list;
  list.add({.kernel = &kSpec,
            .params = pack_params(n),
            .bindings = {Binding(slabs, per_slab), Binding(out)},
            .label = "slabs"});
  const auto program = device->record(list);
  device->wait(device->submit(*program, {}));
  std::vector<uint32_t> y(n);
  device->download(out, std::as_writable_bytes(std::span(y)));
  for (uint32_t i = 0; i < n; ++i) ASSERT_EQ(y[i], 2 * (i + 1000)) << "element " << i;
}

TEST_F(OpenClDeviceTest, TimesEveryDispatch) {
  const auto device = open({});
  const auto in = device->allocate(4096, "x");
  const auto out = device->allocate(4096, "y");
  device->fill(in, 0x3f800000u);
  DispatchList list;
  list.set_step_words(kStepHeaderWords + 1);
  for (int i = 0; i < 3; ++i) list.add(affine(in, out, 1024, 1.0f));
  const auto program = device->record(list);
  const std::vector<uint32_t> step = {1, 0, 0, 0, 0, 0, 0, 0, 5};
  const std::vector<DispatchTiming> timings = device->time_dispatches(*program, step);
  ASSERT_EQ(timings.size(), 3u);
  for (const DispatchTiming& timing : timings) {
    EXPECT_EQ(timing.label, "affine");
    EXPECT_EQ(timing.kernel, "affine_test__portable");
    EXPECT_GE(timing.seconds, 0.0);
  }
  std::vector<float> y(1024);
  device->download(out, std::as_writable_bytes(std::span(y)));
  EXPECT_EQ(y[1023], 6.0f) << "timing must run the program";
}

TEST_F(OpenClDeviceTest, ABuildErrorNamesTheKernelAndTheReasonOnOneLine) {
  const auto device = open({});
  KernelSpec spec = slab_spec();
  spec.variants[0].text = "y[0] = no_such_word;\n";
  DispatchList list;
  list.add({.kernel = &spec,
            .params = pack_params(1u),
            .bindings = {Binding({device->allocate(4, "w")}, 1), Binding(device->allocate(4, "y"))},
            .label = "broken"});
  expect_error([&] { device->record(list); }, "slab_test__portable", "no_such_word");
}

TEST_F(OpenClDeviceTest, RefusesMoreMemoryThanTheDeviceHas) {
  DeviceOptions options;
  options.limits = {"memory_bytes=1MiB", "max_allocation=640KiB"};
  const auto device = open(options);
  expect_error([&] { device->allocate(641 << 10, "wide"); }, "one allocation");
  auto first = device->allocate(640 << 10, "first");
  expect_error([&] { device->allocate(640 << 10, "second"); }, "second");
  first.reset();
  EXPECT_NO_THROW(device->allocate(640 << 10, "third"));
}

TEST_F(OpenClDeviceTest, KeepsBinariesOnDiskAndRebuildsDamagedOnes) {
  const TempDirectory folder;
  DeviceOptions options;
  options.cache_dir = folder.path();
  const std::vector<float> x = random_floats(50);
  {
    const auto device = open(options);
    expect_affine(x, run_affine(*device, x, 1.3f), 1.3f);
    expect_affine(x, run_affine(*device, x, 1.4f), 1.4f);
    EXPECT_EQ(device->compiler().built_from_source(), 1u) << "the same text is built once";
    EXPECT_EQ(device->compiler().loaded_from_cache(), 0u);
  }
  {
    const auto device = open(options);
    expect_affine(x, run_affine(*device, x, 1.3f), 1.3f);
    EXPECT_EQ(device->compiler().built_from_source(), 0u);
    EXPECT_EQ(device->compiler().loaded_from_cache(), 1u);
  }
  size_t damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.file("opencl"))) {
    std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
    ++damaged;
  }
  EXPECT_EQ(damaged, 1u);
  {
    const auto device = open(options);
    expect_affine(x, run_affine(*device, x, 1.3f), 1.3f);
    EXPECT_EQ(device->compiler().built_from_source(), 1u);
  }
  const auto device = open(options);
  expect_affine(x, run_affine(*device, x, 1.3f), 1.3f);
  EXPECT_EQ(device->compiler().loaded_from_cache(), 1u) << "the damaged entry was replaced";
}

}  // namespace
}  // namespace nibble
