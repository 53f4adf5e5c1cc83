// `nibble bench decode` and `prefill`: whole steps of a model.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "bench/profile.h"
#include "host/engine/session.h"

namespace nibble::bench {

struct ModelBenchOptions {
  std::vector<uint32_t> lengths = {128, 1024};  // decode: tokens before the step; prefill: tokens of the prompt
  SessionOptions session;                       // context is set to what the longest needs
  MeasureOptions measure;
};

struct ModelBenchResult {
  Row row;
  Row matrices;  // the linears and experts alone: their dispatches' times, bytes and FLOPs, summed
  double tokens_per_second = 0;
  uint32_t dispatches = 0;     // of a step
  uint64_t ideal_bytes = 0;    // decode: per token, see ideal_bytes_per_token()
  uint64_t counted_bytes = 0;  // what the step's kernels move by their specs
  Steps steps;
};

// The least that one token must read: every matrix of every layer once, of the routed experts only the chosen ones, one
// row of the embedding, the head, and of the KV cache what attention and indexer see at `position`.
uint64_t ideal_bytes_per_token(const Checkpoint& checkpoint, const SessionOptions& session, uint32_t position);

// Tokens that run_decode_bench() feeds behind the context.
uint32_t decode_steps(const MeasureOptions& options);

// Random tokens, the same for the same seed.
std::vector<uint32_t> random_tokens(const ModelConfig& config, uint32_t count, uint64_t seed);

using OnResult = std::function<void(const ModelBenchResult&)>;
std::vector<ModelBenchResult> run_decode_bench(const std::shared_ptr<Model>& model, const Checkpoint& checkpoint,
                                               Ceilings& ceilings, const ModelBenchOptions& options,
                                               const OnResult& on_result = {});
std::vector<ModelBenchResult> run_prefill_bench(const std::shared_ptr<Model>& model, Ceilings& ceilings,
                                                const ModelBenchOptions& options, const OnResult& on_result = {});

}  // namespace nibble::bench
