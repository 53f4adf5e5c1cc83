#include <limits>

#include "shaders/attention/attention_f32/attention_f32_cpu.h"
#include "shaders/attention/attention_parts_f32/attention_parts_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) {
  const auto p = args.get<AttentionPartsParams>();
  return uint64_t{args.step.n_tokens} * p.attention.heads * p.parts;
}

void run_part(const CpuArgs& args, const AttentionPartsParams& params, uint64_t item) {
  const AttentionParams& p = params.attention;
  const uint64_t row = item / params.parts;
  const AttendedEntries attended(args, p, static_cast<uint32_t>(row / p.heads));
  const uint32_t count = attended.count();
  const uint32_t share = (count + params.parts - 1) / params.parts;
  const uint32_t length = (share + kAttentionPartEntries - 1) / kAttentionPartEntries * kAttentionPartEntries;
  const uint32_t first = std::min(static_cast<uint32_t>(item % params.parts) * length, count);
  const uint32_t last = std::min(first + length, count);
  HeadState head;
  head.largest = std::numeric_limits<float>::lowest();
  head.total = 0;
  std::fill_n(head.sum, p.dim, 0.0f);
  float entries[kAttentionTile * kAttentionMaxDim];
  const float root = std::sqrt(static_cast<float>(p.dim));
  for (uint32_t begin = first; begin < last; begin += kAttentionTile) {
    const uint32_t tile = std::min(kAttentionTile, last - begin);
    for (uint32_t e = 0; e < tile; ++e) {
      decode_kv_entry(entries + size_t{e} * p.dim, attended.at(begin + e), p.dim, p.rope, p.format);
    }
    attend_tile(head, args.bindings[0].as<float>() + row * p.dim, entries, tile, p.dim, root);
  }
  if (first < last) std::copy_n(head.sum, p.dim, args.bindings[5].as<float>() + item * p.dim);
  float* stats = args.bindings[6].as<float>() + item * 2;
  stats[0] = head.largest;
  stats[1] = head.total;
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<AttentionPartsParams>();
  for (uint64_t item = begin; item < end; ++item) run_part(args, p, item);
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::attention_parts_f32() {
  return {{.kernel = "attention_parts_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
