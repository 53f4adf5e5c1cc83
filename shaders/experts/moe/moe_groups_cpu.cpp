#include "shaders/experts/moe/moe_groups_cpu.h"

#include <algorithm>

namespace nibble {
namespace {

constexpr size_t kHeaderWords = 2;  // groups, pairs

}  // namespace

size_t moe_groups_bytes(uint64_t pairs) { return ((kHeaderWords + 3 * pairs + 1) * 4 + 63) / 64 * 64; }

void write_moe_groups(std::span<const uint32_t> ids, uint32_t expert_begin, uint32_t expert_end,
                      std::span<std::byte> scratch) {
  auto* words = reinterpret_cast<uint32_t*>(scratch.data());
  uint32_t* pairs = words + kHeaderWords;
  uint32_t count = 0;
  for (uint32_t pair = 0; pair < ids.size(); ++pair) {
    if (ids[pair] >= expert_begin && ids[pair] < expert_end) pairs[count++] = pair;
  }
  std::sort(pairs, pairs + count, [ids](uint32_t a, uint32_t b) { return ids[a] != ids[b] ? ids[a] < ids[b] : a < b; });
  uint32_t* experts = pairs + count;
  uint32_t* begins = experts + count;
  uint32_t groups = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (groups != 0 && experts[groups - 1] == ids[pairs[i]]) continue;
    experts[groups] = ids[pairs[i]];
    begins[groups++] = i;
  }
  begins[groups] = count;
  words[0] = groups;
  words[1] = count;
}

MoeGroups read_moe_groups(std::span<const std::byte> scratch) {
  const auto* words = reinterpret_cast<const uint32_t*>(scratch.data());
  const size_t groups = words[0];
  const size_t count = words[1];
  const uint32_t* pairs = words + kHeaderWords;
  return {.experts = {pairs + count, groups}, .begins = {pairs + 2 * count, groups + 1}, .pairs = {pairs, count}};
}

}  // namespace nibble
