#include "tests/support/dispatch_lists.h"

#include <map>

namespace nibble {
namespace {

BufferView random_view(Rng& rng, const std::vector<std::shared_ptr<Buffer>>& buffers) {
  const std::shared_ptr<Buffer>& buffer = buffers[rng.below(static_cast<uint32_t>(buffers.size()))];
  const auto bytes = static_cast<uint32_t>(buffer->bytes());
  const uint32_t begin = rng.below(bytes);
  return {buffer, begin, 1 + rng.below(bytes - begin)};
}

}  // namespace

const KernelSpec& kernel_with(std::vector<Access> accesses) {
  static std::map<std::vector<Access>, KernelSpec> specs;
  const auto [it, is_new] = specs.try_emplace(std::move(accesses));
  if (is_new) {
    it->second.name = "made_up";
    for (const Access access : it->first) it->second.bindings.push_back({.name = "b", .access = access});
  }
  return it->second;
}

Dispatch dispatch_of(std::vector<Access> accesses, std::vector<BufferView> views, std::string label) {
  Dispatch dispatch;
  dispatch.kernel = &kernel_with(std::move(accesses));
  for (BufferView& view : views) dispatch.bindings.emplace_back(std::move(view));
  dispatch.label = std::move(label);
  return dispatch;
}

DispatchList random_list(Rng& rng, const std::vector<std::shared_ptr<Buffer>>& buffers, size_t count) {
  constexpr Access kAccesses[] = {Access::kRead, Access::kRead, Access::kWrite, Access::kReadWrite};
  DispatchList list;
  while (list.dispatches().size() < count) {
    std::vector<Access> accesses;
    std::vector<BufferView> views;
    bool aliases = false;
    for (uint32_t left = 1 + rng.below(3); left > 0; --left) {
      const Access access = kAccesses[rng.below(4)];
      const BufferView view = random_view(rng, buffers);
      for (size_t i = 0; i < views.size(); ++i) {
        const bool written = access != Access::kRead || accesses[i] != Access::kRead;
        aliases = aliases || (written && views[i].overlaps(view));
      }
      accesses.push_back(access);
      views.push_back(view);
    }
    if (!aliases) list.add(dispatch_of(std::move(accesses), std::move(views)));
  }
  return list;
}

}  // namespace nibble
