// The expert block of a mixture-of-experts layer at real size, with random weights: what `nibble bench moe` runs. The
// dispatches are those that a model gets (host/layers/experts.cpp), cut into their two matrix products or left whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/workload.h"
#include "host/kv/kv_options.h"
#include "host/layers/device_weights.h"

namespace nibble::bench {

struct MoeShape {
  uint32_t experts = 24;
  uint32_t active = 6;  // per token
  uint32_t hidden = 4096;
  uint32_t width = 2048;
  bool fp8 = false;  // weights as e4m3 with a scale per 128x128 block; else e2m1 with a scale per 32 columns
};

enum class MoePart {
  kUp,     // h = silu(w1 x)·(w3 x)·weight: two products [width, hidden], fused
  kDown,   // y = Σ w2 h: one product [hidden, width] and the sum over a token's experts
  kBlock,  // both, and the rounding of h between them
};
std::string_view name_of(MoePart part);

// Experts of each of `tokens` tokens, `active` different ones, as ids [tokens, active]. The first token takes the
// first `active`, the others random ones; `shift` renames expert e to (e + shift) mod experts, so that shifts by
// multiples of `active` touch different weights and do the same work.
std::vector<uint32_t> route_tokens(const MoeShape& shape, uint32_t tokens, uint32_t shift, uint64_t seed);

// Weights live on the device as long as the problem.
class MoeProblem {
 public:
  MoeProblem(Device& device, const MoeShape& shape, uint64_t seed = 1);

  // Programs rotate through sets of experts; on an expert's weights once per experts / active runs. Bytes: stored
  // weights and scales of every expert that is used, activations read and written once. FLOPs: two per weight and
  // token.
  Workload workload(MoePart part, uint32_t tokens, Numerics numerics) const;
  // Only the dispatches of one kernel; no programs where a step of so many tokens does not use it.
  Workload workload(const KernelSpec& kernel, uint32_t tokens, Numerics numerics) const;
  const MoeShape& shape() const { return shape_; }

 private:
  // Bytes and FLOPs of `matrices` of the three, without activations.
  Cost weight_cost(uint64_t matrices, uint32_t tokens) const;
  Workload record(uint32_t tokens, Numerics numerics,
                  const std::function<DispatchList(const DispatchList& block)>& select) const;

  Device& device_;
  MoeShape shape_;
  uint64_t seed_;
  DeviceMoe weights_;
};

}  // namespace nibble::bench
