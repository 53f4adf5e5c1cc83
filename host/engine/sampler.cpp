#include "host/engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace nibble {
namespace {

void check_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    fail(ErrorCode::kUsage, "{} is {}, expected {} to {}", name, value, low, high);
  }
}

}  // namespace

uint32_t argmax(std::span<const float> logits) {
  check(!logits.empty(), "logits: none");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    check(std::isfinite(logits[i]), "logits: token {} has {}, expected a finite number", i, logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<uint32_t>(best);
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), rng_(options.seed) {
  check_range("temperature", options.temperature, 0.0, 1e6);
  check_range("top-p", options.top_p, 0.0, 1.0);
  check_range("min-p", options.min_p, 0.0, 1.0);
}

uint32_t Sampler::sample(std::span<const float> logits) {
  const uint32_t best = argmax(logits);
  if (options_.temperature == 0.0) return best;
  const double greatest = logits[best];
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_[i] = {std::exp((logits[i] - greatest) / options_.temperature), static_cast<uint32_t>(i)};
  }
  keep_top_k();
  keep_top_p();
  keep_min_p();
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double left = rng_.uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return best;  // rounding used up the last weight
}

void Sampler::resume(const SamplerState& state) {
  options_.seed = state.seed;
  rng_ = Rng(state.generator);
}

void Sampler::keep_top_k() {
  if (options_.top_k == 0 || options_.top_k >= candidates_.size()) return;
  const auto end = candidates_.begin() + options_.top_k;
  std::nth_element(candidates_.begin(), end - 1, candidates_.end(), more_likely);
  candidates_.erase(end, candidates_.end());
  // nth_element leaves an order that depends on the library: sort, so that the draw does not.
  std::sort(candidates_.begin(), candidates_.end(), more_likely);
}

void Sampler::keep_top_p() {
  if (options_.top_p >= 1.0) return;
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  // All tokens below this share together have less than 1 - top_p, so the others reach top_p without them. Of 129,280
  // tokens a few thousand are left to sort.
  const double least = total * (1.0 - options_.top_p) / static_cast<double>(candidates_.size());
  std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.weight < least; });
  std::sort(candidates_.begin(), candidates_.end(), more_likely);
  double kept = 0;
  size_t count = 0;
  while (count < candidates_.size() && (count == 0 || kept < options_.top_p * total)) {
    kept += candidates_[count++].weight;
  }
  candidates_.resize(count);
}

void Sampler::keep_min_p() {
  // The most likely token has weight 1.
  std::erase_if(candidates_, [this](const Candidate& candidate) { return candidate.weight < options_.min_p; });
}

}  // namespace nibble
