// The calls of feed() that lead to the state of a session, as tests of rewinding, forking and saving remember them, and
// what a session says in that state.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "host/engine/session.h"

namespace nibble {

// Feeds `probe`: the logits after it, and before them those that the MTP block gave meanwhile, where it runs.
inline std::vector<float> answers(Session& session, std::span<const uint32_t> probe) {
  const uint32_t begin = session.position();
  std::vector<uint32_t> positions;
  std::vector<float> all;
  session.set_mtp_sink([&](uint32_t position, std::span<const float> row) {
    positions.push_back(position);
    all.insert(all.end(), row.begin(), row.end());
  });
  const std::vector<float> logits = session.feed(probe);
  session.set_mtp_sink({});
  // A row for the position before each step.
  std::vector<uint32_t> expected;
  for (uint32_t at = begin; session.options().mtp && at < session.position(); ++at) {
    if (at != 0 && (at == begin || at % session.options().chunk == 0)) expected.push_back(at - 1);
  }
  EXPECT_EQ(positions, expected);
  all.insert(all.end(), logits.begin(), logits.end());
  return all;
}

class SessionCalls {
 public:
  void add(const std::vector<uint32_t>& tokens) { calls_.push_back(tokens); }

  // What is left after a rewind: a call that is cut in the middle ends there.
  void cut(uint32_t position) {
    uint32_t at = 0;
    size_t kept = 0;
    while (kept < calls_.size() && at + calls_[kept].size() <= position) {
      at += static_cast<uint32_t>(calls_[kept++].size());
    }
    if (kept < calls_.size() && at < position) {
      calls_[kept].resize(position - at);
      ++kept;
    }
    calls_.resize(kept);
  }

  // The answers() of a new session that gets these calls and nothing else, and then `probe`.
  std::vector<float> answers_after(const std::shared_ptr<Model>& model, const SessionOptions& options,
                                   std::span<const uint32_t> probe) const {
    const auto fresh = Session::create(model, options);
    for (const std::vector<uint32_t>& call : calls_) fresh->feed(call);
    return answers(*fresh, probe);
  }

  const std::vector<std::vector<uint32_t>>& all() const { return calls_; }

 private:
  std::vector<std::vector<uint32_t>> calls_;
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace nibble
