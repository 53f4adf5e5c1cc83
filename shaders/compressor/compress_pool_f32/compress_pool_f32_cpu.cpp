#include "shaders/compressor/compress_pool_f32/compress_pool_f32_cpu.h"

#include <cmath>

namespace nibble {
namespace {

// Online softmax of a tile of columns.
struct PoolState {
  float largest[kPoolTile];
  float total[kPoolTile];
  float sum[kPoolTile];
};

void add_row(PoolState& pool, const float* a, const float* z, const float* ape, uint32_t columns) {
  for (uint32_t c = 0; c < columns; ++c) {
    const float score = z[c] + ape[c];
    const float before = pool.largest[c];
    pool.largest[c] = std::max(before, score);
    const float keep = std::exp(before - pool.largest[c]);
    const float weight = std::exp(score - pool.largest[c]);
    pool.total[c] = pool.total[c] * keep + weight;
    pool.sum[c] = pool.sum[c] * keep + weight * a[c];
  }
}

void pool_tile(float* y, const PoolWindow& window, uint32_t first, uint32_t columns) {
  PoolState pool{};
  std::fill_n(pool.largest, kPoolTile, -3.0e38f);
  window.each_row(first, [&](const float* a, const float* z, const float* ape) { add_row(pool, a, z, ape, columns); });
  for (uint32_t c = 0; c < columns; ++c) y[c] = pool.sum[c] / pool.total[c];
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::compress_pool_f32() {
  std::vector<CpuKernel> kernels = {{.kernel = "compress_pool_f32",
                                     .variant = "cpp",
                                     .items = compress_pool_items,
                                     .run = compress_pool_run<pool_tile>}};
#if defined(__x86_64__)
  kernels.push_back(compress_pool_f32_avx512());
#endif
  return kernels;
}

}  // namespace nibble
