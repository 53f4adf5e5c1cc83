#if defined(__x86_64__)

#include <immintrin.h>

#include "bench/cpu_loops.h"

namespace nibble::bench {
namespace {

constexpr int kChains = 16;

float dot_bf16(uint64_t rounds) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const auto a = (__m512bh)_mm512_set1_epi32(0x3f003e80);  // 0.5 and 0.25
  const auto b = (__m512bh)_mm512_set1_epi32(0x3c003c80);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, a, b);
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_reduce_add_ps(sum);
  return total;
}

float dot_int8(uint64_t rounds) {
  __m512i sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_epi32(i);
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(1);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  // In float: a sum of all lanes can leave int's range.
  float total = 0;
  for (const __m512i& sum : sums) total += _mm512_reduce_add_ps(_mm512_cvtepi32_ps(sum));
  return total;
}

}  // namespace

CpuLoops avx512_dot_loops() {
  CpuLoops loops = avx512_loops();
  loops.isa = "avx512_dot";
  loops.bf16 = {.run = dot_bf16, .flops_per_round = uint64_t{2} * 32 * kChains};
  loops.int8 = {.run = dot_int8, .flops_per_round = uint64_t{2} * 64 * kChains};
  return loops;
}

}  // namespace nibble::bench

#endif
