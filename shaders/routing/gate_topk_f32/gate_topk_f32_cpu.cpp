#include <algorithm>
#include <cmath>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/indexer/topk_f32/topk_f32_cpu.h"
#include "shaders/routing/gate_topk_f32/gate_topk_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_tokens; }

float score(float logit) { return std::sqrt(std::max(logit, 0.0f) + std::log1p(std::exp(-std::fabs(logit)))); }

// The best expert that is not among the `taken` first ids; of equals the lower one. NaN is the best: it shall show.
uint32_t pick_best(const float* biased, uint32_t experts, const uint32_t* ids, uint32_t taken) {
  uint32_t best = 0;  // keys are above
  uint32_t index = experts - 1;
  for (uint32_t e = 0; e < experts; ++e) {
    const uint32_t key = ordered_key(biased[e]);
    if (key <= best || std::find(ids, ids + taken, e) != ids + taken) continue;
    best = key;
    index = e;
  }
  return index;
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<GateParams>();
  const auto* bias = args.bindings[1].as<const float>();
  const auto* table = args.bindings[2].as<const uint32_t>();
  std::vector<float> biased(p.experts);
  for (uint64_t t = begin; t < end; ++t) {
    const float* logits = args.bindings[0].as<const float>() + t * p.experts;
    uint32_t* ids = args.bindings[3].as<uint32_t>() + t * p.k;
    float* weights = args.bindings[4].as<float>() + t * p.k;
    if (p.hash == 0) {
      for (uint32_t e = 0; e < p.experts; ++e) biased[e] = score(logits[e]) + bias[e];
    }
    float sum = 0.0f;
    for (uint32_t i = 0; i < p.k; ++i) {
      ids[i] = p.hash != 0 ? std::min(table[size_t{args.step_words[p.tokens_at + t]} * p.k + i], p.experts - 1)
                           : pick_best(biased.data(), p.experts, ids, i);
      weights[i] = score(logits[ids[i]]);
      if (p.hash == 0 && std::isnan(biased[ids[i]])) weights[i] = biased[ids[i]];  // of the bias
      sum += weights[i];
    }
    for (uint32_t i = 0; i < p.k; ++i) weights[i] = weights[i] / sum * p.scale;
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::gate_topk_f32() {
  return {{"gate_topk_f32", "cpp", CpuIsa::kBaseline, items, run}};
}

}  // namespace nibble
