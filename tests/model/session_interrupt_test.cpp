// Work that is stopped between its pieces: what was fed stays, and what follows is what would have followed a session
// that was fed just that.
#include <gtest/gtest.h>

#include "host/engine/session.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"

namespace nibble {
namespace {

struct Stopped {};

class SessionInterruptTest : public SyntheticSession {
 protected:
  SessionInterruptTest() : SyntheticSession({0, 4, 24}, 57, 17) {}

  // Steps of at most 16 tokens; throws when `calls_left_` pieces have begun.
  SessionOptions stoppable() {
    SessionOptions options = small_steps(GetParam());
    options.between_pieces = [this] {
      if (calls_left_-- == 0) throw Stopped{};
    };
    return options;
  }

  int calls_left_ = -1;
};

TEST_P(SessionInterruptTest, WhatWasFedStays) {
  const auto session = Session::create(model_, stoppable());
  const std::vector<uint32_t> prompt = random_tokens(70);
  calls_left_ = 3;
  EXPECT_THROW(session->feed(prompt), Stopped);
  EXPECT_EQ(session->position(), 48u);
  const std::vector<uint32_t> rest(prompt.begin() + 48, prompt.end());
  const auto whole = Session::create(model_, small_steps(GetParam()));
  whole->feed(std::span(prompt).first(48));
  EXPECT_TRUE(same_bits(answers(*session, rest), answers(*whole, rest)));
}

TEST_P(SessionInterruptTest, ARewindThatIsStoppedForgetsMore) {
  const auto session = Session::create(model_, stoppable());
  const std::vector<uint32_t> prompt = random_tokens(90);
  session->feed(prompt);
  calls_left_ = 1;
  EXPECT_THROW(session->rewind(89), Stopped);
  const uint32_t position = session->position();
  EXPECT_LT(position, 89u);
  EXPECT_TRUE(std::equal(session->tokens().begin(), session->tokens().end(), prompt.begin()));
  const auto fresh = Session::create(model_, small_steps(GetParam()));
  fresh->feed(std::span(prompt).first(position));
  const std::vector<uint32_t> probe = random_tokens(3);
  EXPECT_TRUE(same_bits(answers(*session, probe), answers(*fresh, probe)));
}

TEST_P(SessionInterruptTest, SavingAndLoading) {
  const std::string path = directory_.file("a.session");
  const auto session = Session::create(model_, stoppable());
  session->feed(random_tokens(90));
  session->save(path);
  const std::string before = read_bytes(path);
  session->feed(random_tokens(20));
  calls_left_ = 1;
  EXPECT_THROW(session->save(path), Stopped);
  EXPECT_EQ(read_bytes(path), before);
  calls_left_ = 5;
  EXPECT_THROW(Session::load(model_, path, stoppable()), Stopped);
  calls_left_ = -1;
  EXPECT_EQ(Session::load(model_, path, stoppable())->position(), 90u);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SessionInterruptTest);
INSTANTIATE_TEST_SUITE_P(Cpu, SessionInterruptTest, testing::ValuesIn(only_cpu(kinds_without_mtp())),
                         [](const auto& parameter) { return parameter.param.label(); });

}  // namespace
}  // namespace nibble
