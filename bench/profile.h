// Where the time of a model's step goes: by kernel, and by the parts of the model that the dispatches' labels name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/table.h"
#include "host/engine/session.h"

namespace nibble::bench {

// Several steps of the same shape, dispatch by dispatch.
using Steps = std::vector<std::vector<DispatchProfile>>;

struct KernelShare {
  std::string kernel;  // qualified name of the variant
  uint32_t dispatches = 0;
  double seconds = 0;  // of a step: the sum of each dispatch's median over the steps
  Cost cost;
};

// Sorted by time, longest first. Steps have the same dispatches in the same order.
std::vector<KernelShare> shares_of(const Steps& steps);
Table table_of(const std::vector<KernelShare>& shares);

// A tree of labels cut at their dots: "layers.3.attn.wq_a" is four levels deep.
struct ProfileNode {
  double seconds = 0;
  std::map<std::string, ProfileNode> children;
};
ProfileNode tree_of(const Steps& steps);

// The tree as nested bars whose widths are times, the whole step on top.
std::string flame_svg(const ProfileNode& root, const std::string& name);

}  // namespace nibble::bench
