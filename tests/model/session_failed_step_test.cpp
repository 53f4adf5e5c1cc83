// A step that fails on the device, after it has overwritten some of what the steps before it left: whatever is asked of
// the session next, it answers as if that step had never been tried.
#include <gtest/gtest.h>

#include "host/engine/session.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"
#include "tests/support/stumbling_device.h"

namespace nibble {
namespace {

class SessionFailedStepTest : public SyntheticSession {
 protected:
  SessionFailedStepTest()
      : SyntheticSession({0, 4, 24}, 35, 81),
        device_(std::make_shared<StumblingDevice>(open_test_device(GetParam().device))),
        stumbling_(Model::load(device_, checkpoint_)),
        session_(Session::create(stumbling_, options_)) {
    feed(random_tokens(70));
  }

  void feed(const std::vector<uint32_t>& tokens) {
    session_->feed(tokens);
    calls_.add(tokens);
  }

  // Chunks that were fed before stay fed.
  void fail_at(uint32_t submission, const std::vector<uint32_t>& tokens) {
    const uint32_t before = session_->position();
    device_->fail_at(submission);
    EXPECT_THROW(session_->feed(tokens), Error);
    const uint32_t fed = session_->position() - before;
    ASSERT_LT(fed, tokens.size());
    if (fed > 0) calls_.add({tokens.begin(), tokens.begin() + fed});
  }

  void expect_right(Session& session) {
    const std::vector<uint32_t> probe = random_tokens(3);
    EXPECT_TRUE(same_bits(answers(session, probe), calls_.answers_after(model_, options_, probe)));
    if (&session == session_.get()) calls_.add(probe);
  }

  const SessionOptions options_ = small_steps(GetParam());
  std::shared_ptr<StumblingDevice> device_;
  std::shared_ptr<Model> stumbling_;
  std::unique_ptr<Session> session_;
  SessionCalls calls_;
};

TEST_P(SessionFailedStepTest, IsAsIfItHadNotBeenTried) {
  for (const uint32_t submission : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE(submission);
    fail_at(submission, random_tokens(60));
    expect_right(*session_);
  }
  fail_at(1, random_tokens(1));
  expect_right(*session_);
}

TEST_P(SessionFailedStepTest, MayFailAgain) {
  fail_at(1, random_tokens(30));
  fail_at(1, random_tokens(30));
  fail_at(2, random_tokens(30));
  expect_right(*session_);
}

TEST_P(SessionFailedStepTest, MayBeFollowedByAForkASavedFileOrARewind) {
  fail_at(2, random_tokens(60));
  const auto fork = session_->fork();
  expect_right(*fork);
  expect_right(*session_);

  fail_at(2, random_tokens(60));
  session_->save(directory_.file("session"), "");
  expect_right(*Session::load(model_, directory_.file("session"), options_, nullptr));

  fail_at(2, random_tokens(60));
  const uint32_t position = session_->position();
  session_->rewind(position);
  expect_right(*session_);
  fail_at(2, random_tokens(60));
  session_->rewind(41);
  calls_.cut(41);
  expect_right(*session_);
}

INSTANTIATE_TEST_SUITE_P(Devices, SessionFailedStepTest, testing::ValuesIn(session_kinds()),
                         [](const auto& parameter) { return parameter.param.label(); });

}  // namespace
}  // namespace nibble
