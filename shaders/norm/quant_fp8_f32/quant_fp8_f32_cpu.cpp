#include "shaders/norm/quant_fp8_f32/quant_fp8_f32_cpu.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/base/format.h"
#include "runtime/cpu/cpu_kernel.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<QuantParams>();
  return uint64_t{args.count(p.count_at)} * p.rows_per_token;
}

// |value| <= 448 rounded to e4m3's grid: steps of 2^(e-3) at magnitudes from 2^e, never below 2^-9. Adding and taking
// away 1.5·2^23 steps rounds to nearest even, without a branch.
float round_e4m3(float value) {
  const uint32_t exponent = std::max((std::bit_cast<uint32_t>(value) >> 23) & 0xffu, 121u);
  const float anchor = std::bit_cast<float>(((exponent + 20u) << 23) | 0x400000u);
  return (value + anchor) - anchor;
}

void quantise_block(const float* x, uint32_t count, float* y) {
  const uint8_t code = fp8_block_scale(block_amax(x, count));
  const float scale = e8m0_to_f32(code);
  const float inverse = block_scale_reciprocal(code);
  for (uint32_t i = 0; i < count; ++i) y[i] = round_e4m3(std::clamp(x[i] * inverse, -448.0f, 448.0f)) * scale;
}

template <void (*kQuantiseBlock)(const float*, uint32_t, float*)>
void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<QuantParams>();
  for (uint64_t row = begin; row < end; ++row) {
    const float* x = args.bindings[0].as<const float>() + row * p.cols;
    float* y = args.bindings[1].as<float>() + row * p.cols;
    for (uint32_t c = 0; c < p.cols; c += p.block) kQuantiseBlock(x + c, std::min(p.block, p.cols - c), y + c);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::quant_fp8_f32() {
  std::vector<CpuKernel> kernels = {{"quant_fp8_f32", "cpp", CpuIsa::kBaseline, items, run<quantise_block>}};
#if defined(__x86_64__)
  kernels.push_back({"quant_fp8_f32", "avx512", CpuIsa::kAvx512, items, run<quantise_fp8_block_avx512>});
#endif
  return kernels;
}

}  // namespace nibble
