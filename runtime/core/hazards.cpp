#include "runtime/core/hazards.h"

#include <algorithm>
#include <map>

namespace nibble {
namespace {

// Byte ranges touched since the last barrier, per buffer, kept sorted and merged: a prefill program has thousands of
// dispatches between which a plain list of views would be searched again and again.
class TouchedRanges {
 public:
  bool overlaps(const BufferView& view) const {
    const auto found = ranges_.find(view.buffer.get());
    if (found == ranges_.end()) return false;
    const auto after =
        found->second.lower_bound(view.offset + view.bytes);  // first range that begins at or after the end
    return after != found->second.begin() && std::prev(after)->second > view.offset;
  }

  void add(const BufferView& view) {
    auto& ranges = ranges_[view.buffer.get()];
    uint64_t begin = view.offset;
    uint64_t end = view.offset + view.bytes;
    auto it = ranges.upper_bound(end);
    while (it != ranges.begin()) {
      const auto previous = std::prev(it);
      if (previous->second < begin) break;
      begin = std::min(begin, previous->first);
      end = std::max(end, previous->second);
      it = ranges.erase(previous);
    }
    ranges[begin] = end;
  }

  void clear() { ranges_.clear(); }

 private:
  std::map<const Buffer*, std::map<uint64_t, uint64_t>> ranges_;  // begin -> end
};

}  // namespace

std::vector<bool> barriers_before(const DispatchList& list) {
  std::vector<bool> barriers;
  TouchedRanges reads;
  TouchedRanges writes;
  for (const Dispatch& dispatch : list.dispatches()) {
    bool conflict = false;
    for_each_view(dispatch, [&](const BufferView& view, Access access) {
      conflict = conflict || writes.overlaps(view) || (access != Access::kRead && reads.overlaps(view));
    });
    if (conflict) {
      reads.clear();
      writes.clear();
    }
    for_each_view(dispatch, [&](const BufferView& view, Access access) {
      if (access != Access::kWrite) reads.add(view);
      if (access != Access::kRead) writes.add(view);
    });
    barriers.push_back(conflict);
  }
  return barriers;
}

}  // namespace nibble
