// Attention of one layer of each kind at a released model's shapes: window only, every 4th token compressed and chosen
// by the indexer (CSA), every 128th (HCA). Weights are random; a cache of any length is filled with random valid
// entries, so that a step at a million tokens can be measured without feeding them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/checkpoint/checkpoint.h"
#include "host/engine/session.h"
#include "host/kv/kv_cache.h"
#include "host/layers/device_weights.h"
#include "host/layers/step_layout.h"

namespace nibble::bench {

// How a step's temporaries lie: each in memory of its own, so that inputs can be looked at afterwards, or sharing it as
// in a session.
enum class Temporaries { kKept, kShared };

// A cache for `options.context` tokens, and a program for steps of up to `tokens` tokens through the three layers, one
// after the other. Must not outlive the device.
class AttentionProblem {
 public:
  AttentionProblem(Device& device, const ModelConfig& config, const DeviceWeights& weights,
                   const SessionOptions& options, uint32_t tokens, Temporaries temporaries);

  // Random content for the first `tokens` tokens: rings, entries, keys and open windows, put where a loaded session
  // puts them.
  void fill(uint32_t tokens, uint64_t seed);
  // Random input of the first layer.
  void draw_input(uint64_t seed);
  // Gives `count` tokens at `position` their room in the cache; the words of a step that feeds them.
  std::vector<uint32_t> prepare(uint32_t position, uint32_t count);

  // Those of the latest prepare(). Labels begin with "window", "csa" or "hca".
  Program& program() const { return *program_; }
  const DispatchList& list() const { return list_; }
  uint64_t kv_bytes() const { return kv_.bytes(); }
  uint64_t scratch_bytes() const { return scratch_bytes_; }

 private:
  void build();

  Device& device_;
  const ModelConfig& config_;
  const DeviceWeights& weights_;
  SessionOptions options_;
  Temporaries temporaries_;
  KvCache kv_;
  StepLayout layout_;
  StepWriter writer_;
  std::shared_ptr<Buffer> x_;
  DispatchList list_;
  std::unique_ptr<Program> program_;
  uint64_t scratch_bytes_ = 0;
};

// The released config with three layers, one of each kind, whose attention is as released and whose experts and
// vocabulary are as small as may be.
ModelConfig attention_config(std::string_view shape);

}  // namespace nibble::bench
