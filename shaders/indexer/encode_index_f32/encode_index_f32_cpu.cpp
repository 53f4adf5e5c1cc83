#include "shaders/indexer/encode_index_f32/encode_index_f32_cpu.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/format.h"
#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/kv_format.h"
#include "shaders/indexer/encode_index_f32/encode_index_f32.h"

namespace nibble {
namespace {

constexpr uint32_t kMaxDim = 512;

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<EncodeIndexParams>();
  return p.ratio == 0 ? uint64_t{args.step.n_tokens} * p.rows_per_token : GridDim::entries(p.ratio).evaluate(args.step);
}

// H·values in natural order, unnormalised: butterflies from neighbours outwards.
void hadamard(float* values, uint32_t dim) {
  for (uint32_t span = 1; span < dim; span *= 2) {
    for (uint32_t begin = 0; begin < dim; begin += 2 * span) {
      for (uint32_t i = begin; i < begin + span; ++i) {
        const float a = values[i];
        const float b = values[i + span];
        values[i] = a + b;
        values[i + span] = a - b;
      }
    }
  }
}

void encode_e2m1(uint32_t* key, const float* values, float inverse) {
  for (uint32_t i = 0; i < kKeyBlock; ++i) key[i / 8] |= uint32_t{f32_to_e2m1(values[i] * inverse)} << (4 * (i % 8));
}

using Hadamard = void (*)(float* values, uint32_t dim);
using EncodeE2m1 = void (*)(uint32_t* key, const float* values, float inverse);

template <EncodeE2m1 kEncode>
void encode_fp4(uint32_t* key, const float* values, uint32_t dim, uint32_t key_words) {
  std::fill_n(key, key_words, 0u);
  for (uint32_t begin = 0; begin < dim; begin += kKeyBlock) {
    const uint32_t block = begin / kKeyBlock;
    const uint8_t scale = fp4_block_scale(block_amax(values + begin, kKeyBlock));
    key[dim / 8 + block / 4] |= uint32_t{scale} << (8 * (block % 4));
    if (scale != 255) kEncode(key + begin / 8, values + begin, block_scale_reciprocal(scale));
  }
}

template <Hadamard kHadamard, EncodeE2m1 kEncode>
void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<EncodeIndexParams>();
  const auto norm = static_cast<float>(1 / std::sqrt(static_cast<double>(p.dim)));
  float values[kMaxDim];
  for (uint64_t r = begin; r < end; ++r) {
    const uint64_t item = p.ratio == 0 ? r : args.step.position / p.ratio + r;
    std::copy_n(args.bindings[0].as<float>() + r * p.dim, p.dim, values);
    kHadamard(values, p.dim);
    for (uint32_t i = 0; i < p.dim; ++i) values[i] *= norm;
    std::byte* key = args.bindings[1].item(item, uint64_t{p.key_words} * 4);
    if (p.format == kKeyF32) {
      std::memcpy(key, values, p.dim * sizeof(float));
    } else {
      encode_fp4<kEncode>(reinterpret_cast<uint32_t*>(key), values, p.dim, p.key_words);
    }
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::encode_index_f32() {
  std::vector<CpuKernel> kernels = {
      {.kernel = "encode_index_f32", .variant = "cpp", .items = items, .run = run<hadamard, encode_e2m1>}};
#if defined(__x86_64__)
  kernels.push_back({.kernel = "encode_index_f32",
                     .variant = "avx512",
                     .isa = CpuIsa::kAvx512,
                     .items = items,
                     .run = run<hadamard_avx512, encode_e2m1_avx512>});
#endif
  return kernels;
}

}  // namespace nibble
