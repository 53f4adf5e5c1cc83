#include "runtime/core/step.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace nibble {
namespace {

uint32_t ceil_div(uint64_t a, uint64_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

}  // namespace

StepHeader read_step_header(std::span<const uint32_t> step) {
  if (step.empty()) return {};
  check(step.size() >= kStepHeaderWords, "a step block of {} words is shorter than its header", step.size());
  return {.n_tokens = step[kStepTokens],
          .position = step[kStepPosition],
          .n_logits = step[kStepLogits],
          .logits_first = step[kStepLogitsFirst]};
}

uint32_t GridDim::evaluate(const StepHeader& step) const {
  const uint64_t end = uint64_t{step.position} + step.n_tokens;
  switch (kind) {
    case Kind::kConstant:
      return scale;
    case Kind::kTokens:
      return ceil_div(uint64_t{step.n_tokens > first ? std::min(step.n_tokens - first, most) : 0} * scale, tile);
    case Kind::kLogits:
      return ceil_div(uint64_t{step.n_logits} * scale, tile);
    case Kind::kEntries:
      return static_cast<uint32_t>(end / ratio - step.position / ratio);
    case Kind::kVisible:
      return ceil_div(end / ratio, tile);
    case Kind::kSortedTiles: {
      const uint64_t items = uint64_t{step.n_tokens} * scale;
      // Every kind but for full tiles has at most one partial tile.
      return static_cast<uint32_t>(std::min(items, items / tile + ratio));
    }
  }
  return 0;
}

}  // namespace nibble
