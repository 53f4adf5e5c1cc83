#include <algorithm>
#include <bit>
#include <vector>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/topk_f32/topk_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<TopkParams>();
  return GridDim::tokens_from(p.first_token, p.max_tokens).evaluate(args.step);
}

// Orders like the float: -0 and +0 share a key, NaN has the lowest.
uint32_t ordered_key(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0;
  if (magnitude == 0) return 0x80000000u;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

struct Cut {
  uint32_t key = 0;      // the n-th largest
  uint32_t missing = 0;  // how many of the keys equal to it are taken
};

// Radix select, 8 bits a pass from the top.
Cut find_cut(const std::vector<uint32_t>& keys, uint32_t n) {
  Cut cut{.missing = n};
  for (int shift = 24; shift >= 0; shift -= 8) {
    uint32_t histogram[256] = {};
    for (const uint32_t key : keys) {
      if (uint64_t{key ^ cut.key} >> (shift + 8) == 0) ++histogram[(key >> shift) & 0xff];
    }
    uint32_t digit = 255;
    while (digit > 0 && histogram[digit] < cut.missing) cut.missing -= histogram[digit--];
    cut.key |= digit << shift;
  }
  return cut;
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<TopkParams>();
  std::vector<uint32_t> keys;
  for (uint64_t row = begin; row < end; ++row) {
    const uint64_t t = p.first_token + row;
    const float* scores = args.bindings[0].as<float>() + row * p.stride;
    uint32_t* ids = args.bindings[1].as<uint32_t>() + t * (p.k + 1);
    const uint32_t visible = (args.step.position + static_cast<uint32_t>(t) + 1) / p.ratio;
    const uint32_t n = std::min(p.k, visible);
    keys.resize(visible);
    std::transform(scores, scores + visible, keys.begin(), ordered_key);
    Cut cut = find_cut(keys, n);
    *ids++ = n;
    for (uint32_t j = 0; j < visible && n > 0; ++j) {
      if (keys[j] > cut.key || (keys[j] == cut.key && cut.missing > 0)) {
        if (keys[j] == cut.key) --cut.missing;
        *ids++ = j;
      }
    }
    std::fill_n(ids, p.k - n, 0xffffffffu);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::topk_f32() {
  return {{.kernel = "topk_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
