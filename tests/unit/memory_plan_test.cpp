#include "host/placement/memory_plan.h"

#include <filesystem>

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/engine/session.h"
#include "host/synthetic/outline.h"
#include "runtime/device/open_device.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
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
    Outline outline = open_or_outline(directory_.path());
    EXPECT_EQ(outline.from, Outline::From::kConfig);
    return std::move(outline.checkpoint);
  }

 private:
  TempDirectory directory_;
};

// The published figures, from the sizes of single entries: 584 B of 512 dims, 68 B of a key of 128 dims.
TEST(MemoryPlan, FlashKeepsThePublishedBytesOfAMillionTokens) {
  const MemoryPlan plan =
      plan_memory(large_gpu(), Released("v4-flash").outline(), {.kv = {.context = kMillion}, .chunk = 512});
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
  const MemoryPlan plan =
      plan_memory(large_gpu(), Released("v4-pro").outline(), {.kv = {.context = kMillion}, .chunk = 64});
  EXPECT_EQ(plan.kv.kept() / 10'000'000, 528u);
  EXPECT_NEAR(static_cast<double>(v32_kv_bytes(kMillion)) / static_cast<double>(plan.kv.kept()), 9.5, 0.05);
  EXPECT_EQ(v32_kv_bytes(kMillion) / 100'000'000, 504u);
}

TEST(MemoryPlan, ScratchDoesNotGrowWithTheContext) {
  const Checkpoint flash = Released("v4-flash").outline();
  const MemoryPlan at_million = plan_memory(large_gpu(), flash, {.kv = {.context = kMillion}, .chunk = 512});
  EXPECT_LE(at_million.prefill_scratch, 512u << 20);
  const MemoryPlan at_64k = plan_memory(large_gpu(), flash, {.kv = {.context = kMillion / 16}, .chunk = 512});
  EXPECT_EQ(at_64k.prefill_scratch, at_million.prefill_scratch);
  EXPECT_EQ(at_64k.weights, at_million.weights);
  EXPECT_LT(at_64k.kv.kept(), at_million.kv.kept() / 15);
}

TEST(MemoryPlan, WeightsAreCopiedToAGpuAndStayInTheFilesOnTheHost) {
  const Checkpoint flash = Released("v4-flash").outline();
  const PlannedSession options = {.kv = {.context = 4096}};
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
  PlannedSession options = {.kv = {.context = kMillion}, .chunk = 64};
  const MemoryPlan whole = plan_memory(large_gpu(), flash, options);
  options.kv.tiers = {.device_bytes = 1u << 30, .host_bytes = 1u << 30, .directory = "/nowhere"};
  DeviceInfo gpu = large_gpu();
  gpu.capabilities.add(Capability::kHostImport);
  const MemoryPlan split = plan_memory(gpu, flash, options);
  EXPECT_EQ(split.kv.all(), whole.kv.all());
  EXPECT_EQ(split.total() + split.kv_host + split.kv_file, whole.total());
  EXPECT_LE(split.kv_host, 1u << 30);
  EXPECT_LE(split.kv.all() - split.kv_host - split.kv_file - split.kv.alignment, 1u << 30);
  EXPECT_LT(split.kv_host + split.kv_file, 21ull * kMillion / 4 * 584);  // entries of ratio 4, and not all of them
  expect_error([&] { plan_memory(large_gpu(), flash, options); }, "host_import");
  options.kv.tiers.directory.clear();
  expect_error([&] { plan_memory(large_gpu(), flash, options); }, "1.00 GiB on the device", "no directory");
  options.kv.tiers.device_bytes = 1000;
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
  const MemoryPlan plan = plan_memory(device->info(), *checkpoint,
                                      {.kv = options.kv(), .program = options.program(), .chunk = options.chunk});
  EXPECT_EQ(plan.weights, model->device_bytes());
  EXPECT_EQ(plan.kv.kept() + plan.kv.open_windows, session->kv_bytes());
  EXPECT_EQ(plan.prefill_scratch + plan.decode_scratch, session->scratch_bytes());
}

TEST(MemoryPlan, ALimitThatIsTooSmallIsNamed) {
  DeviceInfo small = large_gpu();
  small.limits.max_range = small.limits.max_allocation = 1u << 20;
  const Checkpoint flash = Released("v4-flash").outline();
  expect_error([&] { plan_memory(small, flash, {.kv = {.context = 4096}}); }, "layers.0.", "large", "1.00 MiB");
}

TEST(Outline, HasTheTensorsOfACheckpoint) {
  const std::string directory = NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-3-hca32-rope32";
  const Checkpoint stored = Checkpoint::open(directory);
  const TempDirectory config_only;
  std::filesystem::copy_file(directory + "/config.json", config_only.path() + "/config.json");
  const Checkpoint outline = open_or_outline(config_only.path()).checkpoint;
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
  EXPECT_EQ(open_or_outline(NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-2-flash-like").from,
            Outline::From::kCheckpoint);
  TempDirectory directory;
  for (const char* name : {"config.json", "model.safetensors.index.json"}) {
    std::filesystem::copy_file(std::string(NIBBLE_SOURCE_DIR "/tests/golden/models/tiny-2-flash-like/") + name,
                               directory.path() + "/" + name);
  }
  const Outline outline = open_or_outline(directory.path());
  EXPECT_GT(outline.checkpoint.tensor_count(), 100u);
  EXPECT_EQ(outline.from, Outline::From::kConfig);
  expect_error([&] { open_or_outline(directory.path() + "/none"); }, "none", "does not exist");
}

uint64_t planned_weights(const Outline& outline) {
  return plan_memory(large_gpu(), outline.checkpoint, {.kv = {.context = 4096}}).weights;
}

std::string joined(const std::vector<std::string>& texts) { return fmt::format("{}", fmt::join(texts, "; ")); }

// The expert format is what a shard shows, then what config.json or the index says, and else an assumption that is
// told.
TEST(Outline, TakesTheExpertsFormatFromWhereverItShows) {
  TempDirectory directory;
  const auto outline = [&] { return open_or_outline(directory.path()); };
  const std::string config = read_bytes(NIBBLE_SOURCE_DIR "/tests/golden/configs/v4-flash.json");
  nlohmann::json json = nlohmann::json::parse(config);
  json.erase("expert_dtype");
  directory.write("config.json", json.dump());
  EXPECT_NE(joined(outline().assumptions).find("FP4 experts: config.json has no expert_dtype"), std::string::npos);
  const uint64_t fp4 = planned_weights(outline());
  json["expert_dtype"] = "fp8";
  directory.write("config.json", json.dump());
  EXPECT_EQ(joined(outline().assumptions).find("FP4"), std::string::npos);
  const uint64_t fp8 = planned_weights(outline());
  EXPECT_GT(fp8, 280'000'000'000u);
  EXPECT_LT(fp4, 170'000'000'000u);
  json.erase("expert_dtype");
  directory.write("config.json", json.dump());

  // The size in the index, with no shard.
  nlohmann::json index = {{"metadata", {{"total_size", 292'500'000'000u}}},
                          {"weight_map", {{"layers.0.ffn.experts.0.w1.weight", "a.safetensors"}}}};
  directory.write("model.safetensors.index.json", index.dump());
  EXPECT_NEAR(static_cast<double>(planned_weights(outline())), static_cast<double>(fp8), 8e9);  // no MTP block
  EXPECT_NE(joined(outline().assumptions).find("FP8 experts: the index"), std::string::npos);

  // A shard of which there is only the beginning; it wins against config.json.
  json["expert_dtype"] = "fp4";
  directory.write("config.json", json.dump());
  const std::string header = R"({"layers.0.ffn.experts.0.w1.weight": )"
                             R"({"dtype": "F8_E4M3", "shape": [2048, 4096], "data_offsets": [0, 8388608]}})";
  directory.write("a.safetensors", raw_safetensors(header, "cut short"));
  EXPECT_EQ(outline().from, Outline::From::kHeaders);
  EXPECT_NEAR(static_cast<double>(planned_weights(outline())), static_cast<double>(fp8), 8e9);
  EXPECT_NE(joined(outline().assumptions).find("'a.safetensors' among them"), std::string::npos);
}

TEST(Outline, InventsNoMtpBlockForADsparkHead) {
  TempDirectory directory;
  const std::string golden = NIBBLE_SOURCE_DIR "/tests/golden/models/v4-dspark-tiny/";
  std::filesystem::copy_file(golden + "config.json", directory.path() + "/config.json");
  EXPECT_FALSE(open_or_outline(directory.path()).checkpoint.has_prefix("mtp."));
  // With an index the head is named, though no file of it is there.
  std::filesystem::copy_file(golden + "model.safetensors.index.json", directory.file("model.safetensors.index.json"));
  const Outline outline = open_or_outline(directory.path());
  EXPECT_FALSE(outline.checkpoint.has_prefix("mtp."));
  ASSERT_EQ(outline.not_used.size(), 1u);
  EXPECT_EQ(outline.not_used[0].name, "DSpark head, 3 stages");
}

}  // namespace
}  // namespace nibble
