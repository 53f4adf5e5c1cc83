#include "host/memory_plan.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "host/outline.h"
#include "runtime/device/open_device.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

constexpr uint32_t kMillion = 1u << 20;

// A GPU with memory of its own and room for everything.
DeviceInfo large_gpu() {
  DeviceInfo info{.id = "vulkan:0", .backend = BackendKind::kVulkan, .type = DeviceType::kDiscreteGpu, .name = "large"};
  info.limits = {.max_range = uint64_t{4} << 30,
                 .max_allocation = uint64_t{4} << 30,
                 .memory_bytes = uint64_t{1} << 40,
                 .max_storage_bindings = 4096,
                 .offset_alignment = 64,
                 .max_params_bytes = 256,
                 .max_workgroup_size = 1024,
                 .max_workgroup_memory = 65536};
  return info;
}

DeviceInfo cpu() {
  DeviceInfo info = large_gpu();
  info.backend = BackendKind::kCpu;
  info.type = DeviceType::kCpu;
  info.capabilities = {Capability::kHostMemory};
  info.limits.max_range = info.limits.max_allocation = UINT64_MAX;
  return info;
}

// A directory with one of the released config.json and nothing else.
class Released {
 public:
  explicit Released(const std::string& name) {
    std::filesystem::copy_file(NIBBLE_SOURCE_DIR "/tests/golden/configs/" + name + ".json",
                               directory_.path() + "/config.json");
  }
  Checkpoint outline() const {
    bool from_config = false;
    Checkpoint checkpoint = open_or_outline(directory_.path(), from_config);
    EXPECT_TRUE(from_config);
    return checkpoint;
  }

 private:
  TempDirectory directory_;
};

// The published figures, from the sizes of single entries: 584 B of 512 dims, 68 B of a key of 128 dims.
TEST(MemoryPlan, FlashKeepsThePublishedBytesOfAMillionTokens) {
  const MemoryPlan plan = plan_memory(large_gpu(), Released("v4-flash").outline(), {.context = kMillion, .chunk = 512});
  EXPECT_EQ(plan.kv.compressed_entries, (21ull * kMillion / 4 + 20ull * kMillion / 128) * 584);
  EXPECT_EQ(plan.kv.indexer_keys, 21ull * kMillion / 4 * 68);
  EXPECT_EQ(plan.kv.window_rings, 43ull * 128 * 584);
  EXPECT_EQ(plan.kv.mtp, 128ull * 584 + 4ull * 4 * 4096);  // a window ring, and the stream of the last token
  // Rows [a | z] in f32: 8 tokens of 2 * 2 * 512 (and of the keys' 2 * 2 * 128), or 128 of 2 * 512.
  EXPECT_EQ(plan.kv.open_windows, 4ull * (21 * 8 * (2048 + 512) + 20 * 128 * 1024));
  EXPECT_EQ(plan.kv.kept() / 10'000'000, 368u);  // 3.688, published as 3.69 GB
  EXPECT_NEAR(static_cast<double>(v32_kv_bytes(kMillion)) / static_cast<double>(plan.kv.kept()), 13.7, 0.05);
}

TEST(MemoryPlan, ProKeepsThePublishedBytesOfAMillionTokens) {
  const MemoryPlan plan = plan_memory(large_gpu(), Released("v4-pro").outline(), {.context = kMillion, .chunk = 64});
  EXPECT_EQ(plan.kv.kept() / 10'000'000, 528u);
  EXPECT_NEAR(static_cast<double>(v32_kv_bytes(kMillion)) / static_cast<double>(plan.kv.kept()), 9.5, 0.05);
  EXPECT_EQ(v32_kv_bytes(kMillion) / 100'000'000, 504u);
}

TEST(MemoryPlan, ScratchDoesNotGrowWithTheContext) {
  const Checkpoint flash = Released("v4-flash").outline();
  const MemoryPlan at_million = plan_memory(large_gpu(), flash, {.context = kMillion, .chunk = 512});
  EXPECT_LE(at_million.prefill_scratch, 512u << 20);
  const MemoryPlan at_64k = plan_memory(large_gpu(), flash, {.context = kMillion / 16, .chunk = 512});
  EXPECT_EQ(at_64k.prefill_scratch, at_million.prefill_scratch);
  EXPECT_EQ(at_64k.weights, at_million.weights);
  EXPECT_LT(at_64k.kv.kept(), at_million.kv.kept() / 15);
}

TEST(MemoryPlan, WeightsAreCopiedToAGpuAndStayInTheFilesOnTheHost) {
  const Checkpoint flash = Released("v4-flash").outline();
  const SessionOptions options = {.context = 4096};
  const MemoryPlan gpu = plan_memory(large_gpu(), flash, options);
  const MemoryPlan host = plan_memory(cpu(), flash, options);
  EXPECT_EQ(gpu.weights_in_place, 0u);
  EXPECT_LT(host.weights, host.weights_in_place / 1000);
  // 284 billion parameters of mostly half a byte. Expert ids are narrowed and norms widened, so sums differ a little.
  EXPECT_GT(gpu.weights, 140'000'000'000u);
  EXPECT_LT(gpu.weights, 170'000'000'000u);
  EXPECT_NEAR(static_cast<double>(host.weights + host.weights_in_place), static_cast<double>(gpu.weights), 1e9);
  EXPECT_GT(gpu.staging, host.staging);
  EXPECT_EQ(gpu.total(), gpu.weights + gpu.kv.all() + gpu.prefill_scratch + gpu.decode_scratch + gpu.staging);
  EXPECT_LT(gpu.kv.alignment, 1u << 20);
}

// Window rings and open windows stay; then come keys, then the entries of layers that read all of theirs.
TEST(MemoryPlan, ACacheMayLieInThreePlaces) {
  const Checkpoint flash = Released("v4-flash").outline();
  SessionOptions options = {.context = kMillion, .chunk = 64};
  const MemoryPlan whole = plan_memory(large_gpu(), flash, options);
  options.kv_tiers = {.device_bytes = 1u << 30, .host_bytes = 1u << 30, .directory = "/nowhere"};
  DeviceInfo gpu = large_gpu();
  gpu.capabilities.add(Capability::kHostImport);
  const MemoryPlan split = plan_memory(gpu, flash, options);
  EXPECT_EQ(split.kv.all(), whole.kv.all());
  EXPECT_EQ(split.total() + split.kv_host + split.kv_file, whole.total());
  EXPECT_LE(split.kv_host, 1u << 30);
  EXPECT_LE(split.kv.all() - split.kv_host - split.kv_file - split.kv.alignment, 1u << 30);
  EXPECT_LT(split.kv_host + split.kv_file, 21ull * kMillion / 4 * 584);  // entries of ratio 4, and not all of them
  expect_error([&] { plan_memory(large_gpu(), flash, options); }, "host_import");
  options.kv_tiers.directory.clear();
  expect_error([&] { plan_memory(large_gpu(), flash, options); }, "1.00 GiB on the device", "no directory");
  options.kv_tiers.device_bytes = 1000;
  expect_error([&] { plan_memory(large_gpu(), flash, options); }, "window rings", "1000 B");
}

// What a session on a device says of itself.
TEST(MemoryPlan, IsWhatASessionTakes) {
  const std::string directory = NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-2-flash-like";
  const auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(directory));
  const std::shared_ptr<Device> device = open_device("cpu", {});
  const auto model = Model::load(device, checkpoint);
  const SessionOptions options = {.context = 600, .chunk = 16};
  const auto session = Session::create(model, options);
  session->feed(std::vector<uint32_t>{1, 2, 3});
  session->feed(std::vector<uint32_t>{4});
  const MemoryPlan plan = plan_memory(device->info(), *checkpoint, options);
  EXPECT_EQ(plan.weights, model->device_bytes());
  EXPECT_EQ(plan.kv.kept() + plan.kv.open_windows, session->kv_bytes());
  EXPECT_EQ(plan.prefill_scratch + plan.decode_scratch, session->scratch_bytes());
}

TEST(MemoryPlan, ALimitThatIsTooSmallIsNamed) {
  DeviceInfo small = large_gpu();
  small.limits.max_range = small.limits.max_allocation = 1u << 20;
  const Checkpoint flash = Released("v4-flash").outline();
  expect_error([&] { plan_memory(small, flash, {.context = 4096}); }, "layers.0.", "large", "1.00 MiB");
}

TEST(Outline, HasTheTensorsOfACheckpoint) {
  const std::string directory = NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-3-hca32-rope32";
  const Checkpoint stored = Checkpoint::open(directory);
  const Checkpoint outline = outline_checkpoint(directory);
  EXPECT_EQ(outline.tensor_count(), stored.tensor_count());
  for (const SafetensorsFile& shard : stored.shards()) {
    for (const TensorView& tensor : shard.tensors()) {
      const TensorView* announced = outline.find(Checkpoint::canonical_name(tensor.name));
      ASSERT_NE(announced, nullptr) << tensor.name;
      EXPECT_EQ(announced->shape, tensor.shape) << tensor.name;
    }
  }
}

TEST(Outline, IsTakenWhereShardsAreMissing) {
  bool from_config = true;
  open_or_outline(NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-2-flash-like", from_config);
  EXPECT_FALSE(from_config);
  TempDirectory directory;
  for (const char* name : {"config.json", "model.safetensors.index.json"}) {
    std::filesystem::copy_file(std::string(NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-2-flash-like/") + name,
                               directory.path() + "/" + name);
  }
  EXPECT_GT(open_or_outline(directory.path(), from_config).tensor_count(), 100u);
  EXPECT_TRUE(from_config);
  expect_error([&] { open_or_outline(directory.path() + "/none", from_config); }, "none", "does not exist");
}

}  // namespace
}  // namespace nibble
