// Sampler: the next token from the logits. Filters act in the order of Hugging Face's `generate`, each on what the one
// before left, renormalised: temperature, top-k, top-p, min-p. The same seed and logits give the same tokens on every
// platform with the same exp(). One per conversation; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/rng.h"

namespace nibble {

struct SamplerOptions {
  double temperature = 1.0;  // 0: always the token with the greatest logit (of equals the first)
  uint32_t top_k = 0;        // keep this many tokens; 0: all
  double top_p = 1.0;        // keep the fewest most likely tokens that have this probability together
  double min_p = 0.0;        // keep tokens at least this likely, relative to the most likely
  uint64_t seed = 0;
};

// Where a sampler stands: what it was seeded with, and its generator, which every draw moves on.
struct SamplerState {
  uint64_t seed = 0;
  Rng::State generator = {};

  bool operator==(const SamplerState&) const = default;
};

class Sampler {
 public:
  // Throws Error(kUsage) for a value outside its range.
  explicit Sampler(const SamplerOptions& options);

  // Throws Error(kInternal) for a logit that is NaN or infinite, which no healthy model gives.
  uint32_t sample(std::span<const float> logits);

  SamplerState state() const { return {.seed = options_.seed, .generator = rng_.state()}; }
  // Draws from now on as the sampler that had this state(); its own temperature and filters stay.
  void resume(const SamplerState& state);

 private:
  struct Candidate {
    double weight;  // e^((logit - greatest logit) / temperature)
    uint32_t token;
  };
  // An order without ties, so that what is kept does not depend on the sorting algorithm.
  static bool more_likely(const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  }
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();

  SamplerOptions options_;
  Rng rng_;
  std::vector<Candidate> candidates_;  // kept between calls to save the allocation
};

// The first of the greatest logits. Throws as Sampler::sample does.
uint32_t argmax(std::span<const float> logits);

}  // namespace nibble
