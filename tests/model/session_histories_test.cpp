// Whatever a session went through, feeding, rewinding, forking and files, what it says next is what a session says that
// was fed the same steps and nothing else, bit for bit.
#include <gtest/gtest.h>

#include "host/engine/session.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"

namespace nibble {
namespace {

// --gtest_repeat goes on with other histories.
uint64_t next_seed() {
  static uint64_t runs = 0;
  return 1000 + runs++;
}

class SessionHistoriesTest : public SyntheticSession {
 protected:
  SessionHistoriesTest() : SyntheticSession({0, 4, 24}, 33, next_seed()) {}

  bool is_cpu() const { return GetParam().device.label == "cpu"; }

  std::unique_ptr<Session> through_a_file(Session& session) {
    session.save(path_);
    SessionOptions options = options_;
    // A file fits any slabs. Drivers compile a kernel for each number of slabs, which takes longer than the test.
    if (is_cpu()) options.kv_slab_bytes = 200 + rng_.below(8000);
    return Session::load(model_, path_, options);
  }

  // One of five things that may happen to a session; `calls` follow.
  void live_on(std::unique_ptr<Session>& session, SessionCalls& calls) {
    const uint32_t kind = rng_.below(5);
    if (kind == 0) {
      const uint32_t target = rng_.below(session->position() + 1);
      session->rewind(target);
      calls.cut(target);
    } else if (kind == 1) {
      abandoned_ = std::move(session);
      session = abandoned_->fork();
    } else if (kind == 2) {
      session = through_a_file(*session);
    } else {
      calls.add(random_tokens(kind == 3 ? 1 : 1 + rng_.below(45)));
      session->feed(calls.all().back());
    }
    // What the one that was forked reads, before or after its fork, must not show there.
    if (abandoned_ != nullptr && abandoned_->position() < 300) abandoned_->feed(random_tokens(1 + rng_.below(3)));
  }

  const SessionOptions options_ = small_steps(GetParam());
  const std::string path_ = directory_.file("a.session");
  std::unique_ptr<Session> abandoned_;
};

TEST_P(SessionHistoriesTest, EndAsFreshSessions) {
  const int histories = is_cpu() ? 100 : 4;
  for (int history = 0; history < histories; ++history) {
    std::unique_ptr<Session> session = Session::create(model_, options_);
    SessionCalls calls;
    abandoned_.reset();
    for (int event = 0; event < 8; ++event) live_on(session, calls);
    const std::vector<uint32_t> probe = random_tokens(1 + rng_.below(5));
    ASSERT_TRUE(same_bits(answers(*session, probe), calls.answers_after(model_, options_, probe)))
        << "history " << history;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SessionHistoriesTest, testing::ValuesIn(session_kinds()),
                         [](const auto& parameter) { return parameter.param.label(); });

}  // namespace
}  // namespace nibble
