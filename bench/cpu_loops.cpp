#include "bench/cpu_loops.h"

#include <cstring>
namespace nibble::bench {
namespace {

uint64_t read_words(std::span<const std::byte> memory) {
  uint64_t sums[4] = {};
  for (size_t at = 0; at + 64 <= memory.size(); at += 64) {
    uint64_t words[8];
    std::memcpy(words, memory.data() + at, 64);
    for (int i = 0; i < 8; ++i) sums[i % 4] ^= words[i];
  }
  return sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

constexpr int kChains = 32;  // enough to hide the latency of a multiply and an add at four lanes an instruction

float multiply_add(uint64_t rounds) {
  float sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = static_cast<float>(i);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) sum = sum * 0.999f + 0.5f;
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

}  // namespace

CpuLoops baseline_loops() {
  return {.isa = "baseline", .read = read_words, .f32 = {.run = multiply_add, .flops_per_round = 2 * kChains}};
}

CpuLoops loops_of([[maybe_unused]] CpuIsa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case CpuIsa::kAvx512Dot:
      return avx512_dot_loops();
    case CpuIsa::kAvx512:
      return avx512_loops();
    case CpuIsa::kAvx2:
      return avx2_loops();
    case CpuIsa::kBaseline:
      break;
  }
#endif
  return baseline_loops();
}

}  // namespace nibble::bench
