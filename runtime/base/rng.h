// Rng: a small, seeded, portable generator (SplitMix64 seeding xoshiro256**), so that the same seed gives the same test
// inputs and the same sampled text on every platform; the standard library's distributions do not promise that.
#pragma once

#include <array>
#include <cstdint>

namespace nibble {

class Rng {
 public:
  using State = std::array<uint64_t, 4>;

  explicit Rng(uint64_t seed);
  // Goes on as the generator that had this state(). All zero is none that a generator has: it would stay there.
  explicit Rng(const State& state) : state_(state) {}
  const State& state() const { return state_; }

  uint64_t next_u64();
  // Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // Uniform in [0, bound), bound > 0.
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(((next_u64() >> 32) * uint64_t{bound}) >> 32); }
  // Standard normal (Box-Muller).
  double normal();

 private:
  State state_;
};

}  // namespace nibble
