// One step of attention against double precision: the kernels' references on the inputs that the step really had.
#pragma once

#include <string>
#include <vector>

#include "bench/attention_problem.h"

namespace nibble::bench {

struct CheckedDispatch {
  std::string label;
  double worst = 0;   // largest error as a share of what the kernel's tolerance allows; exact outputs: 0
  size_t values = 0;  // compared
};

// Of every indexer, top-k and attention dispatch after `step`, one token, ran with Temporaries::kKept. Of more than
// 4,096 scores a random choice is checked. Throws kDevice naming the dispatch where an error exceeds the tolerance.
std::vector<CheckedDispatch> check_attention(Device& device, const AttentionProblem& problem,
                                             std::span<const uint32_t> step);

}  // namespace nibble::bench
