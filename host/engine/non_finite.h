// Where a model's first value comes from that is no finite number: a tensor of the checkpoint, or a layer that the
// device computes wrongly. Slow: it runs the tokens again.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "host/checkpoint/checkpoint.h"
#include "host/engine/session.h"

namespace nibble {

// What a session was fed until its logits were not finite: the last token is the one whose logits they are.
struct FailedRun {
  const Checkpoint& checkpoint;
  const SessionOptions& options;
  std::span<const uint32_t> tokens;
  std::span<const uint32_t> step_ends;  // of these tokens and perhaps of some after them
  bool of_mtp = false;                  // the logits are the MTP block's
};

// Throws the error that says so: kInvalidFile where a tensor is to blame, kDevice otherwise.
[[noreturn]] void fail_non_finite(const std::shared_ptr<Model>& model, const FailedRun& run, const std::string& what);

// "'layers.1.attn.kv_norm.weight' has nan at element 0": the first tensor of those whose canonical name begins with
// `prefix` that has a value which is no finite number. With an empty prefix, those outside all layers.
std::optional<std::string> non_finite_tensor(const Checkpoint& checkpoint, std::string_view prefix);

}  // namespace nibble
