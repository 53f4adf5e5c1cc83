#include "host/kv/session_history.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// V4-Flash needs 15 MB for each.
constexpr size_t kMostSnapshots = 16;

// Drops the one whose loss lengthens a replay least, compared with how far back it is: what is left is about
// geometrically spaced, dense near the end. Never the last.
void thin_out(std::vector<std::shared_ptr<const KvSnapshot>>& snapshots, double now) {
  const auto gap = [&](size_t i) {
    const double before = i == 0 ? 0 : snapshots[i - 1]->position;
    return (snapshots[i + 1]->position - before) / (now - before + 1);
  };
  size_t least = 0;
  for (size_t i = 1; i + 1 < snapshots.size(); ++i) {
    if (gap(i) < gap(least)) least = i;
  }
  snapshots.erase(snapshots.begin() + static_cast<ptrdiff_t>(least));
}

}  // namespace

void SessionHistory::add_step(std::span<const uint32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  step_ends_.push_back(position());
}

void SessionHistory::add_snapshot(std::vector<std::byte> state) {
  if (!snapshots_.empty() && snapshots_.back()->position == position()) return;
  snapshots_.push_back(std::make_shared<const KvSnapshot>(KvSnapshot{position(), std::move(state)}));
  if (snapshots_.size() > kMostSnapshots) thin_out(snapshots_, position());
}

std::vector<std::shared_ptr<const KvSnapshot>> SessionHistory::best_snapshots(size_t most) const {
  if (most == 0) return {};
  std::vector<std::shared_ptr<const KvSnapshot>> best = snapshots_;
  while (best.size() > most) thin_out(best, position());
  return best;
}

SessionHistory::Replay SessionHistory::rewind(uint32_t position) {
  check(position <= this->position(), "rewind to {} of {}", position, this->position());
  while (!snapshots_.empty() && snapshots_.back()->position > position) snapshots_.pop_back();
  Replay replay;
  if (!snapshots_.empty()) replay.from = snapshots_.back();
  const uint32_t begin = last_snapshot();
  uint32_t at = begin;
  auto end = std::upper_bound(step_ends_.begin(), step_ends_.end(), begin);
  const auto kept = end;
  while (at < position) {
    const uint32_t next = std::min(*end++, position);
    replay.steps.emplace_back(tokens_.begin() + at, tokens_.begin() + next);
    at = next;
  }
  step_ends_.erase(kept, step_ends_.end());
  tokens_.resize(begin);
  return replay;
}

}  // namespace nibble
