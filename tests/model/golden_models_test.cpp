// Every golden model on every device, in plain and in reference numerics, for several prefill chunks. Limits are those
// of tests/golden/README.md.
#include <cstdlib>
#include <map>
#include <tuple>

#include <gtest/gtest.h>

#include "runtime/base/error.h"
#include "tests/model/golden_model.h"
#include "tests/support/test_devices.h"

namespace nibble {
namespace {

// One open device and one loaded model at a time: kernels stay compiled, memory stays small.
struct Loaded {
  std::string label;
  std::shared_ptr<Device> device;
  std::string name;
  std::shared_ptr<Model> model;
};

class GoldenModels : public testing::TestWithParam<std::tuple<TestDevice, std::string>> {
 protected:
  GoldenModels() : golden_(std::get<1>(GetParam())), model_(load(std::get<0>(GetParam()), golden_)) {}

  // Devices end here and not at exit, when their drivers' own static objects may be gone.
  static void TearDownTestSuite() { loaded_ = {}; }

  static std::shared_ptr<Model> load(const TestDevice& device, const GoldenModel& golden) {
    if (loaded_.label != device.label) {
      loaded_ = {};
      loaded_.device = std::shared_ptr<Device>(open_test_device(device));
      loaded_.label = device.label;
    }
    if (loaded_.name != golden.name()) {
      loaded_.model =
          Model::load(loaded_.device, std::make_shared<const Checkpoint>(Checkpoint::open(golden.directory())));
      loaded_.name = golden.name();
    }
    return loaded_.model;
  }

  // With lowered limits the activations of a long chunk would not fit one buffer; there the weights are the subject.
  uint32_t short_chunk() const { return std::get<0>(GetParam()).options.limits.empty() ? 64 : 16; }

  // Chunks: one by one, a prime below every window, a power of two, and all at once. SwiftShader takes minutes for all
  // of them: there a run without NIBBLE_TEST_FULL has one that leaves remainders and the longest.
  std::vector<uint32_t> chunks(const GoldenPrompt& prompt) const {
    std::vector<uint32_t> chunks = {1, 7, short_chunk()};
    if (std::get<0>(GetParam()).label == "swiftshader" && std::getenv("NIBBLE_TEST_FULL") == nullptr) chunks = {7};
    if (short_chunk() == 64) chunks.push_back(static_cast<uint32_t>(prompt.prompt.size()));
    return chunks;
  }

  GoldenModel golden_;
  std::shared_ptr<Model> model_;
  static Loaded loaded_;
};

Loaded GoldenModels::loaded_;

std::string where(const GoldenPrompt& prompt, uint32_t chunk) {
  return fmt::format("prompt '{}', chunk {}", prompt.name, chunk);
}

TEST_P(GoldenModels, PlainIsTight) {
  for (const GoldenPrompt& prompt : golden_.prompts()) {
    for (const uint32_t chunk : chunks(prompt)) {
      SCOPED_TRACE(where(prompt, chunk));
      const GoldenRun run = run_golden(model_, prompt, {.numerics = Numerics::kPlain, .chunk = chunk});
      EXPECT_EQ(compare_hidden(run.capture, golden_.expected(prompt, "hidden_after_each_block.f32_plain"), 1e-4), "");
      EXPECT_EQ(compare_selection(run.capture, golden_.selection(prompt, "f32_plain")), "");
      const LogitsDifference d = compare_logits(run.logits, golden_.expected(prompt, "logits.f32_plain"));
      EXPECT_LE(d.max_abs, 1e-3);
      EXPECT_EQ(d.same_best, 1.0);
      if (golden_.has(prompt, "mtp_logits.f32_plain")) {
        EXPECT_LE(compare_logits(run.mtp_logits, golden_.expected(prompt, "mtp_logits.f32_plain")).max_abs, 1e-3);
      }
    }
  }
}

// Scores of three tokens at a time, and with 1 byte of one: the same as all at once.
TEST_P(GoldenModels, PlainIsTightWhateverTheScoresTake) {
  const GoldenPrompt& prompt = golden_.prompts().back();
  const auto chunk = std::min(short_chunk(), static_cast<uint32_t>(prompt.prompt.size()));
  const SessionOptions whole = {.numerics = Numerics::kPlain, .chunk = chunk};
  const GoldenRun want = run_golden(model_, prompt, whole);
  for (const uint32_t tokens : {0u, 3u}) {
    SCOPED_TRACE(tokens);
    SessionOptions tiled = whole;
    // As many entries as any session here has room for; one byte less than four tokens' scores.
    const uint64_t entries = std::max<uint64_t>(1, (prompt.prompt.size() + prompt.continuation.size()) / 4);
    tiled.max_score_bytes = (tokens + 1) * entries * sizeof(float) - 1;
    const GoldenRun run = run_golden(model_, prompt, tiled);
    EXPECT_EQ(compare_selection(run.capture, golden_.selection(prompt, "f32_plain")), "");
    EXPECT_EQ(run.logits, want.logits);
  }
}

TEST_P(GoldenModels, ReferenceIsWithinTheNoise) {
  for (const GoldenPrompt& prompt : golden_.prompts()) {
    const double limit = 3 * golden_.noise_floor(prompt, "f32") + 0.02;
    for (const uint32_t chunk : chunks(prompt)) {
      SCOPED_TRACE(where(prompt, chunk));
      const GoldenRun run =
          run_golden(model_, prompt, {.numerics = Numerics::kReference, .kv_rope = KvRope::kF32, .chunk = chunk});
      // One position, not a median over steps: the limit is that of 16-bit programs, relative to the logits' deviation.
      EXPECT_EQ(compare_hidden(run.capture, golden_.expected(prompt, "hidden_after_each_block.f32"), 0.25 / 2.2), "");
      const LogitsDifference d = compare_logits(run.logits, golden_.expected(prompt, "logits.f32"));
      EXPECT_LE(d.median_step_rms, limit);
      EXPECT_LE(d.largest_lead_lost, 0.5);
      if (golden_.has(prompt, "mtp_logits.f32")) {
        EXPECT_LE(compare_logits(run.mtp_logits, golden_.expected(prompt, "mtp_logits.f32")).median_step_rms, 0.15);
      }
    }
  }
}

// The cache users get: rotary dims in bf16, compared with the 16-bit row.
TEST_P(GoldenModels, ReferenceWithBf16RopeIsLikeSixteenBits) {
  for (const GoldenPrompt& prompt : golden_.prompts()) {
    SCOPED_TRACE(prompt.name);
    const GoldenRun run = run_golden(
        model_, prompt, {.numerics = Numerics::kReference, .kv_rope = KvRope::kBf16, .chunk = short_chunk()});
    for (const char* mode : {"logits.f32", "logits.bf16"}) {
      const LogitsDifference d = compare_logits(run.logits, golden_.expected(prompt, mode));
      EXPECT_LE(d.median_step_rms, 0.25) << mode;
      EXPECT_GE(d.same_best, 0.75) << mode;
      EXPECT_LE(d.largest_lead_lost, 2.0) << mode;
    }
  }
}

TEST_P(GoldenModels, FastStaysNearReference) {
  for (const GoldenPrompt& prompt : golden_.prompts()) {
    SCOPED_TRACE(prompt.name);
    const GoldenRun run = run_golden(model_, prompt, {.numerics = Numerics::kFast, .chunk = short_chunk()});
    const LogitsDifference d = compare_logits(run.logits, golden_.expected(prompt, "logits.f32"));
    EXPECT_LE(d.median_step_rms, 0.25);
    EXPECT_GE(d.same_best, 0.75);
    EXPECT_LE(d.largest_lead_lost, 2.0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels,
                         testing::Combine(testing::ValuesIn(test_devices()), testing::ValuesIn(GoldenModel::names())),
                         [](const auto& test) {
                           std::string name = std::get<0>(test.param).label + "_" + std::get<1>(test.param);
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace nibble
