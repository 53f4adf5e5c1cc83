#include "runtime/core/arena.h"

#include <algorithm>
#include <map>
#include <vector>

#include "runtime/base/error.h"

namespace nibble {
namespace {

struct Lifetime {
  TemporaryBuffer* buffer = nullptr;
  size_t first = 0;
  size_t last = 0;
  uint64_t bytes = 0;   // rounded up to the alignment
  size_t arena = 0;     // index of the arena buffer
  uint64_t offset = 0;  // in it
};

uint64_t round_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

template <typename F>
void for_each_temporary(Dispatch& dispatch, F&& f) {
  for (Binding& binding : dispatch.bindings) {
    for (BufferView& view : binding.views) {
      if (auto* temporary = dynamic_cast<TemporaryBuffer*>(view.buffer.get())) f(view, *temporary);
    }
  }
}

std::vector<Lifetime> find_lifetimes(DispatchList& list, const ArenaLimits& limits) {
  std::vector<Lifetime> lifetimes;
  std::map<const TemporaryBuffer*, size_t> index;
  for (size_t i = 0; i < list.dispatches().size(); ++i) {
    for_each_temporary(list.dispatches()[i], [&](BufferView&, TemporaryBuffer& temporary) {
      const auto [it, is_new] = index.emplace(&temporary, lifetimes.size());
      if (is_new) {
        lifetimes.push_back({.buffer = &temporary, .first = i, .bytes = round_up(temporary.bytes(), limits.alignment)});
      }
      lifetimes[it->second].last = i;
    });
  }
  return lifetimes;
}

// The lowest offset of arena `arena` at which `life` fits beside the placed ones that live at the same time.
uint64_t lowest_offset(const Lifetime& life, size_t arena, const std::vector<const Lifetime*>& placed) {
  std::vector<std::pair<uint64_t, uint64_t>> taken;
  for (const Lifetime* other : placed) {
    const bool together = other->first <= life.last && life.first <= other->last;
    if (other->arena == arena && together) taken.emplace_back(other->offset, other->offset + other->bytes);
  }
  std::sort(taken.begin(), taken.end());
  uint64_t offset = 0;
  for (const auto& [begin, end] : taken) {
    if (offset + life.bytes <= begin) break;
    offset = std::max(offset, end);
  }
  return offset;
}

}  // namespace

uint64_t plan_temporaries(DispatchList& list, const ArenaLimits& limits, const Allocate& allocate) {
  std::vector<Lifetime> lifetimes = find_lifetimes(list, limits);
  std::vector<Lifetime*> order;
  for (Lifetime& life : lifetimes) order.push_back(&life);
  // Large ones first: the small ones then fill the gaps.
  std::stable_sort(order.begin(), order.end(),
                   [](const Lifetime* a, const Lifetime* b) { return a->bytes > b->bytes; });

  std::vector<uint64_t> arena_bytes;
  std::vector<const Lifetime*> placed;
  for (Lifetime* life : order) {
    if (life->bytes > limits.max_buffer) {
      fail(ErrorCode::kOutOfMemory,
           "activation '{}' needs {}, this device allows {} in one buffer; use a smaller --chunk",
           life->buffer->label(), format_bytes(life->bytes), format_bytes(limits.max_buffer));
    }
    for (life->arena = 0;; ++life->arena) {
      if (life->arena == arena_bytes.size()) arena_bytes.push_back(0);
      life->offset = lowest_offset(*life, life->arena, placed);
      if (life->offset + life->bytes <= limits.max_buffer) break;
    }
    arena_bytes[life->arena] = std::max(arena_bytes[life->arena], life->offset + life->bytes);
    placed.push_back(life);
  }

  std::vector<std::shared_ptr<Buffer>> arenas;
  uint64_t total = 0;
  for (const uint64_t bytes : arena_bytes) {
    arenas.push_back(allocate(bytes, fmt::format("activations {}", arenas.size())));
    total += bytes;
  }
  std::map<const TemporaryBuffer*, const Lifetime*> by_buffer;
  for (const Lifetime& life : lifetimes) by_buffer[life.buffer] = &life;
  for (Dispatch& dispatch : list.dispatches()) {
    for_each_temporary(dispatch, [&](BufferView& view, TemporaryBuffer& temporary) {
      const Lifetime& life = *by_buffer.at(&temporary);
      view = BufferView(arenas[life.arena], life.offset + view.offset, view.bytes);
    });
  }
  return total;
}

}  // namespace nibble
