#include <algorithm>
#include <cmath>

#include "runtime/base/format.h"
#include "runtime/cpu/cpu_kernel.h"
#include "shaders/attention/encode_kv_f32/encode_kv_f32.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<EncodeKvParams>();
  return p.ratio == 0 ? args.step.n_tokens : GridDim::entries(p.ratio).evaluate(args.step);
}

void encode_plain(uint8_t* codes, uint8_t* scales, const float* x, uint32_t count) {
  for (uint32_t begin = 0; begin < count; begin += kEntryBlock) {
    const uint32_t end = std::min(begin + kEntryBlock, count);
    const uint8_t scale = fp8_block_scale(block_amax(x + begin, end - begin));
    const float inverse = block_scale_reciprocal(scale);
    for (uint32_t i = begin; i < end; ++i) codes[i] = f32_to_e4m3(x[i] * inverse);
    scales[begin / kEntryBlock] = scale;
  }
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<EncodeKvParams>();
  const uint32_t plain = p.dim - p.rope;
  for (uint64_t r = begin; r < end; ++r) {
    const uint64_t item = p.ratio == 0 ? r : args.step.position / p.ratio + r;
    if (item >= p.entry_capacity) continue;
    const float* x = args.bindings[0].as<float>() + r * p.dim;
    std::byte* entry = args.bindings[1].item(item, uint64_t{p.entry_words} * 4);
    if (p.format == kEntryF32) {
      std::memcpy(entry, x, p.dim * sizeof(float));
      continue;
    }
    const size_t scale_at = size_t{kv_scale_word(p.dim, p.rope, p.format)} * 4;
    std::memset(entry + scale_at, 0, size_t{p.entry_words} * 4 - scale_at);
    encode_plain(reinterpret_cast<uint8_t*>(entry), reinterpret_cast<uint8_t*>(entry + scale_at), x, plain);
    if (p.format == kEntryFp8F32) {
      std::memcpy(entry + plain, x + plain, p.rope * sizeof(float));
      continue;
    }
    for (uint32_t i = 0; i < p.rope; ++i) {
      const uint16_t code = f32_to_bf16(x[plain + i]);
      std::memcpy(entry + plain + 2 * size_t{i}, &code, 2);
    }
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::encode_kv_f32() {
  return {{.kernel = "encode_kv_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
