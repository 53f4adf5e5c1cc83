// Rewinding and forking: whatever a session went through, what it says next is what a session says that was fed the
// same steps and nothing else, bit for bit.
#include <filesystem>
#include <utility>

#include <gtest/gtest.h>

#include "host/engine/session.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

class SessionRewindTest : public SyntheticSession {
 protected:
  SessionRewindTest() : SyntheticSession({0, 4, 24}, 33, 77) {}

  std::vector<float> answers_after(const SessionCalls& calls, std::span<const uint32_t> probe) {
    return calls.answers_after(model_, options_, probe);
  }

  const SessionOptions options_ = small_steps(GetParam());
};

TEST_P(SessionRewindTest, ARewoundSessionIsOneThatNeverWentFurther) {
  const auto session = Session::create(model_, options_);
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
    EXPECT_TRUE(same_bits(answers(*session, probe), answers_after(calls, probe))) << "rewound to " << target;
    calls.add(probe);
  }
}

TEST_P(SessionRewindTest, AForkGoesItsOwnWay) {
  // At 12 the MTP block, a token behind, still has to write the entry of a window that the trunk has completed; so few
  // entries are all chosen.
  for (const auto& [begin, rounds] : {std::pair(101u, 4), std::pair(12u, 1)}) {
    const auto session = Session::create(model_, options_);
    SessionCalls calls;
    calls.add(random_tokens(begin));
    session->feed(calls.all().back());
    const auto fork = session->fork();
    EXPECT_EQ(fork->position(), begin);
    SessionCalls other = calls;
    for (int i = 0; i < rounds; ++i) {
      calls.add(random_tokens(1 + 20 * i));
      other.add(random_tokens(1 + 29 * i));
      session->feed(calls.all().back());
      fork->feed(other.all().back());
    }
    const std::vector<uint32_t> probe = random_tokens(1);
    EXPECT_TRUE(same_bits(answers(*session, probe), answers_after(calls, probe))) << "from " << begin;
    EXPECT_TRUE(same_bits(answers(*fork, probe), answers_after(other, probe))) << "from " << begin;
  }
}

// Wherever the cache lies, the same bits.
TEST_P(SessionRewindTest, TheCacheMayLieOutsideTheDevice) {
  const TempDirectory files;
  const auto near = Session::create(model_, options_);
  SessionOptions options = options_;
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
    EXPECT_TRUE(same_bits(answers(*far, tokens), answers(*near, tokens))) << "after " << far->position();
  }
  far->rewind(77);
  near->rewind(77);
  const auto fork = far->fork();
  for (const size_t count : {1, 200}) {
    const std::vector<uint32_t> tokens = random_tokens(count);
    const std::vector<float> want = answers(*near, tokens);
    EXPECT_TRUE(same_bits(answers(*far, tokens), want)) << "after " << far->position();
    EXPECT_TRUE(same_bits(answers(*fork, tokens), want)) << "the fork after " << fork->position();
  }
  EXPECT_TRUE(std::filesystem::is_empty(files.path()));  // files without a name
}

TEST_P(SessionRewindTest, TheCacheGrowsWithTheTokens) {
  const auto session = Session::create(model_, options_);
  const uint64_t before = session->kv_bytes();
  session->feed(random_tokens(400));
  EXPECT_GT(session->kv_bytes(), before);
  expect_error([&] { session->rewind(401); }, "rewind to position 401 of 400");
}

class SessionMtpTest : public SessionRewindTest {};

// The block pairs a position with the token after it: its row of a step's end comes with the next step.
TEST_P(SessionMtpTest, EndsOfStepsSpeakOnceAndInOrder) {
  const auto session = Session::create(model_, options_);
  std::vector<uint32_t> positions;
  session->set_mtp_sink([&](uint32_t position, std::span<const float> logits) {
    EXPECT_EQ(logits.size(), vocab_);
    positions.push_back(position);
  });
  session->feed(random_tokens(40));
  session->feed(random_tokens(1));
  EXPECT_EQ(positions, (std::vector<uint32_t>{15, 31, 39}));
  session->rewind(35);
  const auto fork = session->fork();
  fork->feed(random_tokens(1));
  EXPECT_EQ(positions.size(), 3u) << "neither a replay nor a fork speaks";
  session->feed(random_tokens(1));
  EXPECT_EQ(positions.back(), 34u);
  EXPECT_EQ(positions.size(), 4u);
}

TEST_P(SessionMtpTest, AStepThatWasTimedCounts) {
  const auto session = Session::create(model_, options_);
  SessionCalls calls;
  for (const size_t count : {16, 1, 7}) {
    calls.add(random_tokens(count));
    session->profile(calls.all().back());
  }
  const std::vector<uint32_t> probe = random_tokens(2);
  EXPECT_TRUE(same_bits(answers(*session, probe), answers_after(calls, probe)));
}

INSTANTIATE_TEST_SUITE_P(All, SessionMtpTest, testing::ValuesIn(kinds_with_mtp()),
                         [](const auto& parameter) { return parameter.param.label(); });
INSTANTIATE_TEST_SUITE_P(All, SessionRewindTest, testing::ValuesIn(session_kinds()),
                         [](const auto& parameter) { return parameter.param.label(); });

}  // namespace
}  // namespace nibble
