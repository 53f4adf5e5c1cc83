// Thousands of tokens: far past the window, with more compressed entries than the indexer may choose, rings that have
// wrapped many times, and a prefill whose chunks end where no window does.
#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/engine/session.h"
#include "runtime/base/rng.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_devices.h"

namespace nibble {
namespace {

// Both are correct to some 1e-5; a wrong or missing entry changes logits of order 1 by more than 1e-2.
constexpr double kTolerance = 1e-3;

class LongContextTest : public testing::TestWithParam<TestDevice> {
 protected:
  LongContextTest() {
    nlohmann::json config = synthetic_config();
    config.update({{"num_nextn_predict_layers", 0},
                   {"max_position_embeddings", 8192},
                   {"compress_ratios", {4, 0, 24}},
                   {"index_topk", 50}});
    write_synthetic_model(directory_.path(), config.dump(), {.seed = 55});
    checkpoint_ = std::make_shared<const Checkpoint>(Checkpoint::open(directory_.path()));
    Rng rng(90210);
    for (uint32_t& token : tokens_) token = rng.below(checkpoint_->config().vocab_size);
  }

  std::shared_ptr<Model> model_on(const TestDevice& device) {
    return Model::load(std::shared_ptr<Device>(open_test_device(device)), checkpoint_);
  }

  // The logits after the first `count` tokens; the last `single` of them as decode steps.
  std::vector<float> logits(const std::shared_ptr<Model>& model, size_t count, size_t single, uint32_t chunk) {
    const auto session = Session::create(model, {.numerics = Numerics::kPlain,
                                                 .context = 5000,
                                                 .chunk = chunk,
                                                 .snapshot_every = 0,
                                                 .kv_slab_bytes = 1u << 16});
    const std::span<const uint32_t> tokens(tokens_);
    std::vector<float> last;
    if (count > single) last = session->feed(tokens.first(count - single));
    for (size_t i = count - single; i < count; ++i) last = session->feed(tokens.subspan(i, 1));
    return last;
  }

  static void expect_close(const std::vector<float>& found, const std::vector<float>& wanted) {
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double error = std::fabs(double{found[i]} - double{wanted[i]});
      if (!(error <= kTolerance)) FAIL() << "logits[" << i << "] = " << found[i] << ", want " << wanted[i];
    }
  }

  TempDirectory directory_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::vector<uint32_t> tokens_ = std::vector<uint32_t>(5000);
};

TEST_P(LongContextTest, PrefillInChunksIsTheHostsPrefill) {
  const TestDevice host{.label = "cpu", .id = "cpu", .options = {}};
  const std::vector<float> wanted = logits(model_on(host), 3100, 0, 64);
  expect_close(logits(model_on(GetParam()), 3100, 5, 50), wanted);
}

TEST_P(LongContextTest, PrefillInChunksIsDecodingTokenByToken) {
  if (GetParam().label != "cpu") GTEST_SKIP() << "5,000 decode steps: the other test compares with the cpu";
  const auto model = model_on(GetParam());
  expect_close(logits(model, 5000, 0, 100), logits(model, 5000, 5000, 1));
}

INSTANTIATE_TEST_SUITE_P(All, LongContextTest, testing::ValuesIn(test_devices()),
                         [](const auto& test) { return test.param.label; });

}  // namespace
}  // namespace nibble
