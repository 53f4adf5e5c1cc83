// A model on a device, kernel by kernel: the first dispatch whose output departs from its reference is named, with its
// layer. What to run when the text is garbage.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tools/conformance/report.h"

namespace nibble {
class Device;
}

namespace nibble::conformance {

struct ModelWalk {
  std::string directory;  // of a checkpoint; empty: no walk
  uint32_t tokens = 9;    // random ones: all but the last in one prefill step, then a decode step
};

// Rows of a walk: kernel, variant and, as the case, the dispatch's label and the positions of the step. The last row,
// "model__replayed", is the model run as usual: its logits must have the bits of the kernels run one by one.
struct WalkSink {
  std::function<void(const Row& row)> begin;
  std::function<void(const CaseResult& result)> end;
};

// Throws what loading a checkpoint throws, and kUsage for too many tokens.
void walk_model(const std::shared_ptr<Device>& device, const ModelWalk& walk, uint64_t seed, const WalkSink& sink);

}  // namespace nibble::conformance
