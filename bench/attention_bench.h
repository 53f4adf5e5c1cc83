// `nibble bench attention`: what attention takes as the context grows, kernel by kernel.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/attention_check.h"
#include "bench/measure.h"

namespace nibble::bench {

struct AttentionBenchOptions {
  std::string shape = "v4-flash";
  std::vector<uint32_t> contexts = {1u << 10, 1u << 14, 1u << 17, 1u << 20};  // tokens that a step sees, its own too
  uint32_t prefill = 0;                                                       // tokens to prefill instead of decoding
  uint32_t chunk = 64;
  Numerics numerics = Numerics::kReference;
  uint64_t seed = 1;
  MeasureOptions measure;
};

// One decode step through a layer of each kind.
struct AttentionBenchResult {
  uint32_t context = 0;
  Row step;               // all dispatches together
  std::vector<Row> rows;  // by layer kind and kernel, longest first: kernel "csa attention_f32"
  std::vector<CheckedDispatch> checked;
  uint64_t kv_bytes = 0;
  uint64_t scratch_bytes = 0;
};

// Part of a prefill.
struct PrefillProgress {
  uint32_t tokens = 0;    // done
  double seconds = 0;     // all that time
  double per_second = 0;  // tokens, since the last report
};
struct PrefillResult {
  std::vector<PrefillProgress> progress;
  uint64_t weight_bytes = 0;  // on the device; 0 where they are used in place
  uint64_t kv_bytes = 0;
  uint64_t scratch_bytes = 0;
  uint64_t peak_resident = 0;  // of this process so far; 0 if the system does not tell
};

// Weights of one layer of each kind, placed on a device for several runs.
class AttentionBench {
 public:
  // Neither reference may end before the bench.
  AttentionBench(Device& device, const AttentionBenchOptions& options);

  AttentionBenchResult decode(uint32_t context, Ceilings& ceilings);
  PrefillResult prefill(const std::function<void(const PrefillProgress&)>& on_progress = {});

 private:
  SessionOptions session(uint32_t context) const;

  Device& device_;
  AttentionBenchOptions options_;
  ModelConfig config_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  DeviceWeights weights_;
};

}  // namespace nibble::bench
