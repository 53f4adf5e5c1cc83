// Rewinding and forking: whatever a session went through, what it says next is what a session says that was fed the
// same steps and nothing else, bit for bit.
#include <filesystem>

#include <gtest/gtest.h>

#include "host/session.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_devices.h"

namespace nibble {
namespace {

// Slabs of some 30 entries, so that growing and copying on write happen.
const SessionOptions kOptions = {.context = 400, .chunk = 16, .snapshot_every = 40, .kv_slab_bytes = 4096};

class SessionRewindTest : public SyntheticSession {
 protected:
  SessionRewindTest() : SyntheticSession({{"compress_ratios", {0, 4, 24}}}, 33, 77) {}

  std::vector<float> logits_after(const SessionCalls& calls, std::span<const uint32_t> probe) {
    return calls.logits_after(model_, kOptions, probe);
  }
};

TEST_P(SessionRewindTest, ARewoundSessionIsOneThatNeverWentFurther) {
  const auto session = Session::create(model_, kOptions);
  const std::vector<uint32_t> prompt = random_tokens(150);
  SessionCalls calls;
  calls.add(prompt);
  session->feed(prompt);
  for (int i = 0; i < 30; ++i) {
    calls.add(random_tokens(1));
    session->feed(calls.all().back());
  }
  for (const uint32_t target : {170u, 150u, 149u, 61u, 16u, 1u, 0u}) {
    session->rewind(target);
    calls.cut(target);
    ASSERT_EQ(session->position(), target);
    const std::vector<uint32_t> probe = random_tokens(3);
    EXPECT_TRUE(same_bits(session->feed(probe), logits_after(calls, probe))) << "rewound to " << target;
    calls.add(probe);
  }
}

TEST_P(SessionRewindTest, AForkGoesItsOwnWay) {
  const auto session = Session::create(model_, kOptions);
  SessionCalls calls;
  calls.add(random_tokens(101));
  session->feed(calls.all().back());
  const auto fork = session->fork();
  EXPECT_EQ(fork->position(), 101u);
  SessionCalls other = calls;
  for (int i = 0; i < 4; ++i) {
    calls.add(random_tokens(1 + 20 * i));
    other.add(random_tokens(30));
    session->feed(calls.all().back());
    fork->feed(other.all().back());
  }
  const std::vector<uint32_t> probe = random_tokens(1);
  EXPECT_TRUE(same_bits(session->feed(probe), logits_after(calls, probe)));
  EXPECT_TRUE(same_bits(fork->feed(probe), logits_after(other, probe)));
}

// Wherever the cache lies, the same bits.
TEST_P(SessionRewindTest, TheCacheMayLieOutsideTheDevice) {
  const TempDirectory files;
  const auto near = Session::create(model_, kOptions);
  SessionOptions options = kOptions;
  // Slabs take 4 KB at most: one or two of the entries' are in the host's memory, the others in files.
  options.kv_tiers = {
      .device_bytes = near->kv_tier_bytes().device - 12'000, .host_bytes = 6'000, .directory = files.path()};
  if (!takes_files(model_->device(), files.path())) {
    expect_error([&] { Session::create(model_, options)->feed(random_tokens(400)); }, "in a file");
    options.kv_tiers.host_bytes = UINT64_MAX;
    options.kv_tiers.directory.clear();
  }
  const auto far = Session::create(model_, options);
  EXPECT_GT(far->kv_tier_bytes().host, 0u);
  EXPECT_EQ(far->kv_tier_bytes().file > 0, !options.kv_tiers.directory.empty());
  EXPECT_EQ(far->kv_tier_bytes().all(), near->kv_tier_bytes().all());
  for (const size_t count : {150, 1, 1, 60}) {
    const std::vector<uint32_t> tokens = random_tokens(count);
    EXPECT_TRUE(same_bits(far->feed(tokens), near->feed(tokens))) << "after " << far->position();
  }
  far->rewind(77);
  near->rewind(77);
  const auto fork = far->fork();
  for (const size_t count : {1, 200}) {
    const std::vector<uint32_t> tokens = random_tokens(count);
    const std::vector<float> want = near->feed(tokens);
    EXPECT_TRUE(same_bits(far->feed(tokens), want)) << "after " << far->position();
    EXPECT_TRUE(same_bits(fork->feed(tokens), want)) << "the fork after " << fork->position();
  }
  EXPECT_TRUE(std::filesystem::is_empty(files.path()));  // files without a name
}

TEST_P(SessionRewindTest, RandomHistoriesEndAsFreshOnes) {
  const int histories = GetParam().label == "cpu" ? 60 : 4;
  for (int history = 0; history < histories; ++history) {
    std::unique_ptr<Session> session = Session::create(model_, kOptions);
    SessionCalls calls;
    for (int step = 0; step < 8; ++step) {
      const uint32_t kind = rng_.below(4);
      if (kind == 0 && session->position() > 0) {
        const uint32_t target = rng_.below(session->position() + 1);
        session->rewind(target);
        calls.cut(target);
      } else if (kind == 1) {
        const auto abandoned = std::move(session);
        session = abandoned->fork();
        abandoned->feed(random_tokens(1 + rng_.below(20)));  // must not show in the fork
      } else {
        const uint32_t count = kind == 2 ? 1 : 1 + rng_.below(45);
        calls.add(random_tokens(count));
        session->feed(calls.all().back());
      }
    }
    const std::vector<uint32_t> probe = random_tokens(1 + rng_.below(5));
    ASSERT_TRUE(same_bits(session->feed(probe), logits_after(calls, probe))) << "history " << history;
  }
}

TEST_P(SessionRewindTest, TheCacheGrowsWithTheTokens) {
  const auto session = Session::create(model_, kOptions);
  const uint64_t before = session->kv_bytes();
  session->feed(random_tokens(400));
  EXPECT_GT(session->kv_bytes(), before);
  expect_error([&] { session->rewind(401); }, "rewind to position 401 of 400");
}

INSTANTIATE_TEST_SUITE_P(All, SessionRewindTest, testing::ValuesIn(test_devices()),
                         [](const auto& parameter) { return parameter.param.label; });

}  // namespace
}  // namespace nibble
