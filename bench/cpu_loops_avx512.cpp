#if defined(__x86_64__)

#include <immintrin.h>

#include "bench/cpu_loops.h"

namespace nibble::bench {
namespace {

// Four streams keep more of the hardware's prefetchers busy than one; software prefetch made every one of ten variants
// slower on Zen 4.
uint64_t read_avx512(std::span<const std::byte> memory) {
  constexpr size_t kStreams = 4;
  const size_t lines = memory.size() / 64 / kStreams;
  __m512i sums[kStreams];
  const __m512i* streams[kStreams];
  for (size_t s = 0; s < kStreams; ++s) {
    sums[s] = _mm512_setzero_si512();
    streams[s] = reinterpret_cast<const __m512i*>(memory.data()) + s * lines;
  }
  for (size_t i = 0; i < lines; ++i) {
    for (size_t s = 0; s < kStreams; ++s) {
      sums[s] = _mm512_xor_si512(sums[s], _mm512_load_si512(streams[s] + i));
    }
  }
  const __m512i all = _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]));
  // Folded by exclusive or: a signed sum of random lanes overflows.
  const __m256i half = _mm256_xor_si256(_mm512_extracti64x4_epi64(all, 0), _mm512_extracti64x4_epi64(all, 1));
  return static_cast<uint64_t>(_mm256_extract_epi64(half, 0) ^ _mm256_extract_epi64(half, 1) ^
                               _mm256_extract_epi64(half, 2) ^ _mm256_extract_epi64(half, 3));
}

constexpr int kChains = 16;  // two units times a latency of four, twice over

float multiply_add(uint64_t rounds) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 factor = _mm512_set1_ps(0.999f);
  const __m512 term = _mm512_set1_ps(0.5f);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, factor, term);
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_reduce_add_ps(sum);
  return total;
}

}  // namespace

CpuLoops avx512_loops() {
  return {.isa = "avx512",
          .read = read_avx512,
          .f32 = {.run = multiply_add, .flops_per_round = uint64_t{2} * 16 * kChains}};
}

}  // namespace nibble::bench

#endif
