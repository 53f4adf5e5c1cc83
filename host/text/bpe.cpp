#include "host/text/bpe.h"

#include <queue>

namespace nibble {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};

// A token of the word being merged; a doubly linked list inside one vector. A symbol merged into its left neighbour
// has token kNone.
struct Symbol {
  uint32_t token, previous, next;
};

// A merge that was possible when it was queued.
struct Candidate {
  uint32_t rank, position, result;
  // std::priority_queue gives its greatest first: the lowest rank, then the leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

Bpe::Bpe(const ByteTokens& byte_tokens, const std::vector<Merge>& merges) : byte_tokens_(byte_tokens) {
  merges_.reserve(merges.size());
  uint32_t rank = 0;
  for (const Merge& merge : merges) merges_[key(merge.left, merge.right)] = {rank++, merge.result};
}

const Bpe::Ranked* Bpe::find(uint32_t left, uint32_t right) const {
  const auto found = merges_.find(key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view word, std::vector<uint32_t>& ids) const {
  const auto count = static_cast<uint32_t>(word.size());
  std::vector<Symbol> symbols(count);
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i] = {byte_tokens_[static_cast<uint8_t>(word[i])], i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};
  }
  std::priority_queue<Candidate> queue;
  const auto propose = [&](uint32_t position) {
    const uint32_t next = symbols[position].next;
    if (next == kNone) return;
    const Ranked* merge = find(symbols[position].token, symbols[next].token);
    if (merge) queue.push({merge->rank, position, merge->result});
  };
  for (uint32_t i = 0; i < count; ++i) propose(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.position];
    if (left.token == kNone || left.next == kNone) continue;
    // The pair may have changed since: only a pair that still gives this result is merged.
    const Ranked* merge = find(left.token, symbols[left.next].token);
    if (!merge || merge->result != top.result) continue;
    Symbol& right = symbols[left.next];
    left.token = top.result;
    left.next = right.next;
    right.token = kNone;
    if (left.next != kNone) symbols[left.next].previous = top.position;
    if (left.previous != kNone) propose(left.previous);
    propose(top.position);
  }
  for (uint32_t i = 0; i != kNone && i < count; i = symbols[i].next) ids.push_back(symbols[i].token);
}

}  // namespace nibble
