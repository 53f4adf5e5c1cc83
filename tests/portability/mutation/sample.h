// Draws mutations of a module, evenly over their kinds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/portability/mutation/mutation.h"

namespace nibble::mutation {

class Sample {
 public:
  // `position` of the variant among all: kinds begin elsewhere for each, so that few mutants a variant are even too.
  Sample(std::vector<Mutation> mutations, std::string_view containing, uint64_t seed, uint32_t position);

  // Of the next kind; none when all were drawn.
  std::optional<Mutation> next(bool is_apart);
  // next() stays with the kind that it drew last.
  void repeat_kind() { repeats_ = true; }

 private:
  struct Kind {
    bool is_apart = false;
    std::vector<Mutation> left;
  };
  std::vector<Kind> kinds_;
  size_t turn_ = 0;
  bool repeats_ = false;
};

}  // namespace nibble::mutation
