// The calls of feed() that lead to the state of a session, as tests of rewinding, forking and saving remember them.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "host/session.h"

namespace nibble {

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

  // The logits of a new session that gets these calls and nothing else, and then `probe`.
  std::vector<float> logits_after(const std::shared_ptr<Model>& model, const SessionOptions& options,
                                  std::span<const uint32_t> probe) const {
    const auto fresh = Session::create(model, options);
    for (const std::vector<uint32_t>& call : calls_) fresh->feed(call);
    return fresh->feed(probe);
  }

  const std::vector<std::vector<uint32_t>>& all() const { return calls_; }

 private:
  std::vector<std::vector<uint32_t>> calls_;
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace nibble
