// SessionHistory: the tokens of a session, how they were cut into steps, and snapshots of what a step overwrites.
// The state of a device is a function of tokens and steps, so going back means: take the nearest snapshot, feed the
// steps after it again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace nibble {

struct KvSnapshot {
  uint32_t position = 0;         // tokens that had been fed
  std::vector<std::byte> state;  // KvCache::state()
};

class SessionHistory {
 public:
  SessionHistory() = default;
  // As it was saved: the last step ends with the last token, snapshots lie at ends of steps.
  SessionHistory(std::vector<uint32_t> tokens, std::vector<uint32_t> step_ends,
                 std::vector<std::shared_ptr<const KvSnapshot>> snapshots)
      : tokens_(std::move(tokens)), step_ends_(std::move(step_ends)), snapshots_(std::move(snapshots)) {}

  uint32_t position() const { return static_cast<uint32_t>(tokens_.size()); }
  std::span<const uint32_t> tokens() const { return tokens_; }
  std::span<const uint32_t> step_ends() const { return step_ends_; }  // positions at which steps ended, ascending
  std::span<const std::shared_ptr<const KvSnapshot>> snapshots() const { return snapshots_; }

  void add_step(std::span<const uint32_t> tokens);
  // Keeps a snapshot of the current position; older ones are thinned out, the more the older they are.
  void add_snapshot(std::vector<std::byte> state);
  // At most so many of them, spread as thinning out spreads them.
  std::vector<std::shared_ptr<const KvSnapshot>> best_snapshots(size_t most) const;
  // Of the last snapshot; 0 if there is none.
  uint32_t last_snapshot() const { return snapshots_.empty() ? 0 : snapshots_.back()->position; }

  // What must be fed to come to `position` again, after restoring `from` (nothing: the empty state).
  struct Replay {
    std::shared_ptr<const KvSnapshot> from;
    std::vector<std::vector<uint32_t>> steps;
  };
  // Cuts the history at that snapshot and returns what leads from there to `position`.
  Replay rewind(uint32_t position);

 private:
  std::vector<uint32_t> tokens_;
  std::vector<uint32_t> step_ends_;
  std::vector<std::shared_ptr<const KvSnapshot>> snapshots_;  // by position; shared with forks
};

}  // namespace nibble
