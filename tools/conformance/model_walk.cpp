#include "tools/conformance/model_walk.h"

#include <cstring>

#include "host/engine/session.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "tools/conformance/watched_device.h"

namespace nibble::conformance {
namespace {

std::vector<uint32_t> random_tokens(const ModelConfig& config, uint32_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint32_t> tokens(count);
  for (uint32_t& token : tokens) token = rng.below(config.vocab_size);
  return tokens;
}

// Logits after the prefill step and after the decode step.
std::vector<std::vector<float>> feed(const std::shared_ptr<Model>& model, const SessionOptions& options,
                                     std::span<const uint32_t> tokens) {
  const auto session = Session::create(model, options);
  return {session->feed(tokens.first(tokens.size() - 1)), session->feed(tokens.last(1))};
}

CaseResult compare_runs(const std::vector<std::vector<float>>& alone, const std::vector<std::vector<float>>& together) {
  CaseResult result;
  for (size_t step = 0; step < alone.size(); ++step) {
    result.elements += alone[step].size();
    for (size_t i = 0; i < alone[step].size(); ++i) {
      if (std::memcmp(&alone[step][i], &together[step][i], sizeof(float)) == 0) continue;
      if (result.wrong++ != 0) continue;
      result.verdict = Verdict::kFail;
      result.worst = {"logits", i, together[step][i], alone[step][i], 0, false};
      result.message = fmt::format(
          "{} step, logit {}: {} in one program, {} where every kernel waits for the one before it: an order between "
          "kernels is not kept",
          step == 0 ? "prefill" : "decode", i, together[step][i], alone[step][i]);
    }
  }
  return result;
}

}  // namespace

void walk_model(const std::shared_ptr<Device>& device, const ModelWalk& walk, uint64_t seed, const WalkSink& sink) {
  const auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(walk.directory));
  const ModelConfig& config = checkpoint->config();
  if (walk.tokens > config.max_position_embeddings) {
    fail(ErrorCode::kUsage, "--model-tokens {}: the model has {} positions", walk.tokens,
         config.max_position_embeddings);
  }
  const std::vector<uint32_t> tokens = random_tokens(config, walk.tokens, seed);
  // Arrays as long as the steps: the references take their lengths from them.
  // What is not finite is a row of the report, like all that departs.
  const SessionOptions options = {.context = walk.tokens, .chunk = walk.tokens - 1, .check_finite = false};
  uint32_t position = 0;
  uint32_t count = walk.tokens - 1;
  const auto begin = [&](const Dispatch& dispatch, const std::string& variant) {
    const std::string kernel(dispatch.kernel->name);
    sink.begin({.kernel = kernel,
                .variant = variant.substr(kernel.size() + 2),
                .case_name = fmt::format("{}, tokens {} to {}", dispatch.label, position, position + count - 1),
                .seed = seed});
  };
  const auto watched = std::make_shared<WatchedDevice>(*device, WatchSink{.begin = begin, .end = sink.end});
  std::vector<std::vector<float>> alone;
  {
    const auto model = Model::load(watched, checkpoint);
    const auto session = Session::create(model, options);
    alone.push_back(session->feed(std::span(tokens).first(count)));
    position = count;
    count = 1;
    alone.push_back(session->feed(std::span(tokens).last(1)));
  }
  sink.begin({.kernel = "model", .variant = "replayed", .case_name = "logits", .seed = seed});
  sink.end(compare_runs(alone, feed(Model::load(device, checkpoint), options, tokens)));
}

}  // namespace nibble::conformance
