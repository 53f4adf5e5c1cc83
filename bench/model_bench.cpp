#include "bench/model_bench.h"

#include <algorithm>

#include "bench/clock.h"
#include "host/checkpoint/weights.h"
#include "runtime/base/error.h"
#include "shaders/common/kv_format.h"

namespace nibble::bench {
namespace {

uint64_t bytes_of(const CompressorWeights& w) { return w.wkv.bytes() + w.wgate.bytes() + w.ape.bytes(); }

uint64_t bytes_of(const LayerWeights& w, uint32_t active) {
  const AttentionWeights& a = w.attn;
  uint64_t bytes = a.wq_a.bytes() + a.wq_b.bytes() + a.wkv.bytes() + a.wo_a.bytes() + a.wo_b.bytes();
  if (a.compressor) bytes += bytes_of(*a.compressor);
  if (a.indexer) bytes += a.indexer->wq_b.bytes() + a.indexer->weights_proj.bytes() + bytes_of(a.indexer->compressor);
  const ExpertWeights& expert = w.ffn.experts.front();
  bytes += w.ffn.gate.bytes() + active * (expert.w1.bytes() + expert.w2.bytes() + expert.w3.bytes());
  bytes += w.ffn.shared.w1.bytes() + w.ffn.shared.w2.bytes() + w.ffn.shared.w3.bytes();
  return bytes + w.hc_attn.fn.bytes() + w.hc_ffn.fn.bytes();
}

// What attention of one layer reads of its cache.
uint64_t kv_bytes(const ModelConfig& config, const SessionOptions& session, const LayerPlan& plan, uint32_t position) {
  const bool plain = session.numerics == Numerics::kPlain;
  const uint32_t format = plain ? kEntryF32 : session.kv_rope == KvRope::kBf16 ? kEntryFp8 : kEntryFp8F32;
  const uint64_t entry = uint64_t{kv_entry_words(config.head_dim, config.qk_rope_head_dim, format)} * 4;
  const uint64_t seen = uint64_t{position} + 1;
  uint64_t bytes = std::min<uint64_t>(seen, config.sliding_window) * entry;
  if (!plan.compresses()) return bytes;
  const uint64_t compressed = seen / plan.ratio;
  if (!plan.indexed) return bytes + compressed * entry;
  const uint64_t key = uint64_t{indexer_key_words(config.index_head_dim, plain ? kKeyF32 : kKeyFp4)} * 4;
  return bytes + compressed * key + std::min<uint64_t>(compressed, config.index_topk) * entry;
}

std::string driver_of(Model& model) { return driver_text(model.device().info()); }

Row row_of(Model& model, const std::string& what, uint32_t tokens, const ModelBenchOptions& options,
           const std::string& shape) {
  return {.device = model.device().info().name,
          .driver = driver_of(model),
          .kernel = what,
          .shape = shape,
          .numerics = std::string(name_of(options.session.numerics)),
          .tokens = tokens};
}

// Cost of a step by the specs of its kernels.
Cost total_cost(const std::vector<DispatchProfile>& step) {
  Cost total;
  for (const DispatchProfile& dispatch : step) {
    total.bytes += dispatch.cost.bytes;
    total.flops += dispatch.cost.flops;
  }
  return total;
}

bool is_matrix(const DispatchProfile& dispatch) {
  const std::string& name = dispatch.kernel;
  return name.starts_with("gemm_") || name.starts_with("moe_up") || name.starts_with("moe_down") ||
         name.starts_with("moe_pairs");
}

// The matrices of every step, as if they were a step of their own.
PairedTimes times_of(const PairedTimes& steps, const Steps& profiles) {
  PairedTimes times{.ceilings = steps.ceilings};
  for (const auto& profile : profiles) {
    double seconds = 0;
    for (const DispatchProfile& dispatch : profile) seconds += is_matrix(dispatch) ? dispatch.seconds : 0;
    times.best.push_back(seconds);
    times.all.push_back(seconds);
  }
  return times;
}

void finish(ModelBenchResult& result, const PairedTimes& times, const ModelBenchOptions& options) {
  const MathCeiling math = options.session.numerics == Numerics::kReference ? MathCeiling::kBf16 : MathCeiling::kF32;
  fill_row(result.row, times, math, 0);
  result.row.net_seconds = 0;
  result.matrices = result.row;
  result.matrices.kernel += " matrices";
  result.matrices.bytes = 0;
  result.matrices.flops = 0;
  for (const DispatchProfile& dispatch : result.steps.front()) {
    if (!is_matrix(dispatch)) continue;
    result.matrices.bytes += dispatch.cost.bytes;
    result.matrices.flops += dispatch.cost.flops;
  }
  fill_row(result.matrices, times_of(times, result.steps), math, 0);
  result.matrices.net_seconds = 0;
  result.dispatches = static_cast<uint32_t>(result.steps.front().size());
  result.counted_bytes = total_cost(result.steps.front()).bytes;
  result.tokens_per_second = result.row.tokens / result.row.seconds.median;
}

std::unique_ptr<Session> new_session(const std::shared_ptr<Model>& model, SessionOptions options, uint32_t context) {
  options.context = context;
  return Session::create(model, options);
}

// Every dispatch of all chunks of a prompt.
std::vector<DispatchProfile> profile_prompt(Session& session, std::span<const uint32_t> tokens) {
  std::vector<DispatchProfile> all;
  while (session.position() < tokens.size()) {
    const size_t count = std::min<size_t>(session.options().chunk, tokens.size() - session.position());
    const auto chunk = session.profile(tokens.subspan(session.position(), count));
    all.insert(all.end(), chunk.begin(), chunk.end());
  }
  return all;
}

void add_pair(PairedTimes& times, const CeilingSample& ceilings, double seconds) {
  times.ceilings.push_back(ceilings);
  times.best.push_back(seconds);
  times.all.push_back(seconds);
}

}  // namespace

uint32_t decode_steps(const MeasureOptions& options) { return 2 * options.pairs + 1; }

uint64_t ideal_bytes_per_token(const Checkpoint& checkpoint, const SessionOptions& session, uint32_t position) {
  const ModelConfig& config = checkpoint.config();
  const ModelWeights weights = load_weights(checkpoint, config);
  uint64_t bytes = weights.head.bytes() + weights.embed.bytes() / config.vocab_size + weights.hc_head.fn.bytes();
  for (const LayerWeights& layer : weights.layers) {
    bytes += bytes_of(layer, config.num_experts_per_tok) + kv_bytes(config, session, layer.plan, position);
  }
  return bytes;
}

std::vector<uint32_t> random_tokens(const ModelConfig& config, uint32_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint32_t> tokens(count);
  for (uint32_t& token : tokens) token = rng.below(config.vocab_size);
  return tokens;
}

std::vector<ModelBenchResult> run_decode_bench(const std::shared_ptr<Model>& model, const Checkpoint& checkpoint,
                                               Ceilings& ceilings, const ModelBenchOptions& options,
                                               const OnResult& on_result) {
  const ModelConfig& config = model->config();
  const uint32_t steps = decode_steps(options.measure);
  std::vector<ModelBenchResult> results;
  for (const uint32_t length : options.lengths) {
    const auto session = new_session(model, options.session, length + steps);
    const std::vector<uint32_t> tokens = random_tokens(config, length + steps, length + 1);
    const std::span<const uint32_t> all = tokens;
    const auto ignore = [](uint32_t, std::span<const float>) {};
    if (length > 0) session->feed(all.first(length), ignore);
    session->feed(all.subspan(length, 1), ignore);  // compiles
    ModelBenchResult result{.row = row_of(*model, "decode", 1, options, fmt::format("context={}", length))};
    PairedTimes times;
    for (uint32_t i = 0; i < options.measure.pairs; ++i) {
      const CeilingSample sample = ceilings.sample(times.best.empty() ? 0 : times.best.back());
      const auto token = all.subspan(session->position(), 1);
      add_pair(times, sample, seconds_of([&] { session->feed(token, ignore); }));
      result.steps.push_back(session->profile(all.subspan(session->position(), 1)));
    }
    result.ideal_bytes = ideal_bytes_per_token(checkpoint, options.session, length + steps / 2);
    result.row.bytes = result.ideal_bytes;
    result.row.flops = total_cost(result.steps.front()).flops;
    finish(result, times, options);
    results.push_back(std::move(result));
    if (on_result) on_result(results.back());
  }
  return results;
}

std::vector<ModelBenchResult> run_prefill_bench(const std::shared_ptr<Model>& model, Ceilings& ceilings,
                                                const ModelBenchOptions& options, const OnResult& on_result) {
  std::vector<ModelBenchResult> results;
  for (const uint32_t length : options.lengths) {
    const std::vector<uint32_t> tokens = random_tokens(model->config(), length, length + 1);
    const std::span<const uint32_t> all = tokens;
    const auto ignore = [](uint32_t, std::span<const float>) {};
    // One session for all repetitions: the first prompt compiles, and touches memory for the first time.
    const auto session = new_session(model, options.session, length);
    session->feed(all, ignore);
    ModelBenchResult result{
        .row = row_of(*model, "prefill", length, options, fmt::format("chunk={}", options.session.chunk))};
    PairedTimes times;
    for (uint32_t i = 0; i < options.measure.pairs; ++i) {
      session->rewind(0);
      const CeilingSample sample = ceilings.sample(times.best.empty() ? 0 : times.best.back());
      add_pair(times, sample, seconds_of([&] { session->feed(all, ignore); }));
      session->rewind(0);
      result.steps.push_back(profile_prompt(*session, all));
    }
    const Cost cost = total_cost(result.steps.front());
    result.row.bytes = cost.bytes;
    result.row.flops = cost.flops;
    finish(result, times, options);
    results.push_back(std::move(result));
    if (on_result) on_result(results.back());
  }
  return results;
}

}  // namespace nibble::bench
