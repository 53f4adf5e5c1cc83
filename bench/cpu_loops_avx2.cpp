#if defined(__x86_64__)

#include <immintrin.h>

#include "bench/cpu_loops.h"

namespace nibble::bench {
namespace {

uint64_t read_avx2(std::span<const std::byte> memory) {
  __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  const auto* lines = reinterpret_cast<const __m256i*>(memory.data());
  const size_t count = memory.size() / sizeof(__m256i);
  for (size_t i = 0; i + 4 <= count; i += 4) {
    for (size_t j = 0; j < 4; ++j) sums[j] = _mm256_xor_si256(sums[j], _mm256_load_si256(lines + i + j));
  }
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^
                               _mm256_extract_epi64(all, 2) ^ _mm256_extract_epi64(all, 3));
}

constexpr int kChains = 10;  // two units times a latency of four or five; with the operands 12 of 16 registers

float multiply_add(uint64_t rounds) {
  __m256 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 factor = _mm256_set1_ps(0.999f);
  const __m256 term = _mm256_set1_ps(0.5f);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, factor, term);
  }
  float total = 0;
  for (const __m256& sum : sums) total += _mm256_cvtss_f32(sum);
  return total;
}

}  // namespace

CpuLoops avx2_loops() {
  return {.isa = "avx2", .read = read_avx2, .f32 = {.run = multiply_add, .flops_per_round = uint64_t{2} * 8 * kChains}};
}

}  // namespace nibble::bench

#endif
