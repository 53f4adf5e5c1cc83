#include "tests/portability/mutation/sample.h"

#include <algorithm>
#include <utility>

#include "runtime/base/rng.h"

namespace nibble::mutation {

Sample::Sample(std::vector<Mutation> mutations, std::string_view containing, uint64_t seed, uint32_t position) {
  std::map<std::string, Kind> by_kind;
  for (Mutation& mutation : mutations) {
    if (mutation.what.find(containing) == std::string::npos) continue;
    Kind& kind = by_kind[mutation.kind + (mutation.is_apart ? " apart" : "")];
    kind.is_apart = mutation.is_apart;
    kind.left.push_back(std::move(mutation));
  }
  Rng rng(seed * 1'000'003 + position);
  for (auto& [name, kind] : by_kind) {
    for (size_t i = kind.left.size(); i > 1; --i) {
      std::swap(kind.left[i - 1], kind.left[rng.below(static_cast<uint32_t>(i))]);
    }
    kinds_.push_back(std::move(kind));
  }
  turn_ = size_t{position} * 5;  // coprime to the number of kinds, or nearly
}

std::optional<Mutation> Sample::next(bool is_apart) {
  for (size_t tries = 0; tries <= kinds_.size(); ++tries) {
    if (kinds_.empty()) break;
    if (!std::exchange(repeats_, false)) ++turn_;
    Kind& kind = kinds_[turn_ % kinds_.size()];
    if (kind.is_apart != is_apart || kind.left.empty()) continue;
    Mutation drawn = std::move(kind.left.back());
    kind.left.pop_back();
    return drawn;
  }
  return std::nullopt;
}

}  // namespace nibble::mutation
