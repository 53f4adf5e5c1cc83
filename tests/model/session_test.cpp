#include "host/engine/session.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"
#include "tests/support/expect_error.h"
#include "tests/support/synthetic_model.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_devices.h"

namespace nibble {
namespace {

class SessionTest : public SyntheticSession {
 protected:
  SessionTest() : SyntheticSession({0, 4, 128}, 21, 2024) {}
};

TEST_P(SessionTest, TheSameTokensGiveTheSameBits) {
  const std::vector<uint32_t> tokens = random_tokens(40);
  std::vector<float> first;
  for (int run = 0; run < 2; ++run) {
    const auto session = Session::create(model_, {.context = 64, .chunk = 16});
    const std::vector<float> logits = session->feed(tokens);
    ASSERT_EQ(logits.size(), vocab_);
    if (run == 0) first = logits;
    EXPECT_TRUE(same_bits(logits, first));
    EXPECT_EQ(session->position(), 40u);
    EXPECT_GT(session->kv_bytes(), 0u);
    EXPECT_FALSE(session->variants().empty());
  }
}

TEST_P(SessionTest, LogitsOfEveryTokenAreThoseOfFeedingOneByOne) {
  const std::vector<uint32_t> tokens = random_tokens(33);
  const auto whole =
      Session::create(model_, {.numerics = Numerics::kPlain, .context = 64, .chunk = 33, .all_logits = true});
  const auto single = Session::create(model_, {.numerics = Numerics::kPlain, .context = 64});
  uint32_t expected_position = 0;
  whole->feed(tokens, [&](uint32_t position, std::span<const float> logits) {
    ASSERT_EQ(position, expected_position++);
    const std::vector<float> want = single->feed(std::span(tokens).subspan(position, 1));
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double d = std::fabs(static_cast<double>(want[i]) - static_cast<double>(logits[i]));
      if (!std::isnan(worst) && !(d <= worst)) worst = d;
    }
    EXPECT_LE(worst, 1e-4) << "position " << position;
  });
  EXPECT_EQ(expected_position, 33u);
}

TEST_P(SessionTest, BadTokensChangeNothing) {
  const auto session = Session::create(model_, {.context = 10, .chunk = 4});
  const std::vector<uint32_t> good = random_tokens(5);
  session->feed(good);
  const std::vector<uint32_t> outside = {good[0], vocab_};
  expect_error([&] { session->feed(outside); }, fmt::format("token id {}", vocab_), "vocabulary");
  EXPECT_EQ(session->position(), 5u);
  expect_error([&] { session->feed(random_tokens(6)); }, "context overflow", "--ctx");
  EXPECT_EQ(session->position(), 5u);

  const std::vector<uint32_t> more = random_tokens(5);
  const auto untouched = Session::create(model_, {.context = 10, .chunk = 4});
  untouched->feed(good);
  EXPECT_TRUE(same_bits(session->feed(more), untouched->feed(more)));
}

TEST_P(SessionTest, ProgressCountsTokens) {
  const auto session = Session::create(model_, {.context = 64, .chunk = 8});
  std::vector<uint32_t> seen;
  session->on_progress = [&](uint32_t done, uint32_t total) {
    EXPECT_EQ(total, 20u);
    seen.push_back(done);
  };
  session->feed(random_tokens(20));
  EXPECT_EQ(seen, (std::vector<uint32_t>{8, 16, 20}));
}

TEST_P(SessionTest, OptionsAreChecked) {
  expect_error([&] { Session::create(model_, {.context = 0}); }, "--ctx");
  expect_error([&] { Session::create(model_, {.chunk = 0}); }, "--chunk");
  expect_error([&] { Session::create(model_, {.mtp = true}); }, "no MTP block");
}

// Private memory that is not backed by a file, in bytes.
uint64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
  }
  return 0;
}

// On the cpu, weights are the pages of the user's files.
TEST(CpuSession, CopiesNoWeights) {
  if (test_devices().empty() || test_devices().front().label != "cpu") GTEST_SKIP() << "the cpu is not tested here";
  nlohmann::json config = synthetic_config();
  config.update({{"num_nextn_predict_layers", 0}, {"n_routed_experts", 128}, {"moe_intermediate_size", 1024}});
  const TempDirectory directory;
  write_synthetic_model(directory.path(), config.dump(), {.seed = 22});
  uint64_t file_bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) file_bytes += entry.file_size();
  ASSERT_GT(file_bytes, 60u << 20);

  const uint64_t before = anonymous_bytes();
  auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(directory.path()));
  const uint32_t vocab = checkpoint->config().vocab_size;
  const auto model = Model::load(std::shared_ptr<Device>(open_test_device(test_devices().front())), checkpoint);
  const auto session = Session::create(model, {.context = 256, .chunk = 32});
  std::vector<uint32_t> tokens(200);
  Rng rng(5);
  for (uint32_t& token : tokens) token = rng.below(vocab);
  session->feed(tokens);
  const uint64_t grown = anonymous_bytes() - before;
  EXPECT_LT(grown, (16u << 20) + session->kv_bytes() + session->scratch_bytes());
  EXPECT_LT(model->device_bytes(), 4u << 20);  // norms and other small vectors only
}

INSTANTIATE_TEST_SUITE_P(All, SessionTest, testing::ValuesIn(kinds_without_mtp()),
                         [](const auto& test) { return test.param.label(); });

}  // namespace
}  // namespace nibble
