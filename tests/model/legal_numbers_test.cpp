// Models with other legal numbers than the golden ones have, against the double-precision model of this folder; and
// that model against the golden answers, so that it can be trusted.
#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "tests/model/golden_model.h"
#include "tests/model/reference_model.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_devices.h"

namespace nibble {
namespace {

double max_difference(const std::vector<double>& want, std::span<const float> got) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = std::fabs(want[i] - static_cast<double>(got[i]));
    if (!std::isnan(worst) && !(d <= worst)) worst = d;
  }
  return worst;
}

TEST(ReferenceModel, AgreesWithTheGoldenAnswers) {
  for (const std::string& name : GoldenModel::names()) {
    const GoldenModel golden(name);
    const GoldenPrompt& prompt = golden.prompts().front();
    std::vector<uint32_t> tokens = prompt.prompt;
    tokens.insert(tokens.end(), prompt.continuation.begin(), prompt.continuation.end());
    const auto logits = reference_logits(Checkpoint::open(golden.directory()), tokens);
    const NpyArray<float> want = golden.expected(prompt, "logits.f32_plain");
    for (size_t row = 0; row < want.shape[0]; ++row) {
      const std::span<const float> expected(&want.values[row * want.shape[1]], want.shape[1]);
      EXPECT_LE(max_difference(logits[prompt.prompt.size() - 1 + row], expected), 1e-4) << name << " row " << row;
    }
  }
}

struct LegalNumbers {
  std::string name;
  nlohmann::json changes;
  SyntheticOptions options;
};

std::vector<LegalNumbers> legal_numbers() {
  return {
      {"TwoCopies", {{"hc_mult", 2}}, {.seed = 11}},
      {"Ratio24", {{"compress_ratios", {24, 4, 0}}}, {.seed = 12}},
      {"Window20", {{"sliding_window", 20}}, {.seed = 13}},
      {"PartialFp8Blocks", {{"q_lora_rank", 80}, {"o_lora_rank", 24}, {"hidden_size", 160}}, {.seed = 14}},
      {"FloatsInF32", nlohmann::json::object(), {.seed = 15, .f32_floats = true, .i32_expert_ids = true}},
      {"TinyEpsilon", {{"rms_norm_eps", 1e-20}}, {.seed = 17}},
      {"Fp8Experts", nlohmann::json::object(), {.seed = 16, .fp8_experts = true}},
  };
}

class OtherLegalNumbers : public testing::TestWithParam<std::tuple<TestDevice, size_t>> {};

TEST_P(OtherLegalNumbers, PlainAgreesWithDoublePrecision) {
  const LegalNumbers numbers = legal_numbers()[std::get<1>(GetParam())];
  nlohmann::json config = synthetic_config();
  config.update(numbers.changes);
  const TempDirectory directory;
  write_synthetic_model(directory.path(), config.dump(), numbers.options);
  const auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(directory.path()));

  Rng rng(numbers.options.seed);
  std::vector<uint32_t> tokens(150);
  for (uint32_t& token : tokens) token = rng.below(checkpoint->config().vocab_size);
  const auto want = reference_logits(*checkpoint, tokens);

  const auto model = Model::load(std::shared_ptr<Device>(open_test_device(std::get<0>(GetParam()))), checkpoint);
  for (const uint32_t chunk : {1u, 23u, 150u}) {
    const auto session =
        Session::create(model, {.numerics = Numerics::kPlain, .context = 150, .chunk = chunk, .all_logits = true});
    double worst = 0;
    session->feed(tokens, [&](uint32_t position, std::span<const float> logits) {
      const double d = max_difference(want[position], logits);
      if (!std::isnan(worst) && !(d <= worst)) worst = d;
    });
    EXPECT_LE(worst, 1e-3) << "chunk " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OtherLegalNumbers,
                         testing::Combine(testing::ValuesIn(test_devices()),
                                          testing::Range<size_t>(0, legal_numbers().size())),
                         [](const auto& test) {
                           return std::get<0>(test.param).label + "_" + legal_numbers()[std::get<1>(test.param)].name;
                         });

}  // namespace
}  // namespace nibble
